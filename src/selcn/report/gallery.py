"""Test images with the predictions of the run's bundle, chosen by fixed rules."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image, read_mask
from selcn.data.metadata import known_values
from selcn.evaluation import Predictions
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.inference.bundle import BundleConfig
from selcn.inference.given import Given
from selcn.inference.overlay import PREDICTED_COLOUR, TRUE_COLOUR, blend_saliency, draw_outline, panel_size
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction
from selcn.labels import TEST
from selcn.report.embed import Picture, embed_jpeg
from selcn.report.saliency_tables import RANKED_BY, network_saliency_scores
from selcn.runs.run import Run

CASES = 12
CONFIDENT_CASES = 3  # correct ones, and as many wrong ones
EXTREMES = 4  # best segmentations; best, worst and random saliency
MAX_FAILURES = 12  # segmentations below ISIC's threshold
SEED = 0
BEST = "best"
PANEL_WIDTH = 320
_BATCH = 8


@dataclass(frozen=True, eq=False)
class View:
    """A test image with the bundle's prediction.

    Attributes:
        image_id: of the catalog.
        prediction: of the bundle.
        outlined: the image with the outlines of the predicted and the ground-truth mask, where they exist.
        outlines: names of the outlines drawn.
        saliency: the image blended with the saliency of each classifier, by its name.
        asymmetry: the image blended with the map of a phantom's planted asymmetry, where that is known.
    """

    image_id: str
    prediction: Prediction
    outlined: Picture
    outlines: str
    saliency: dict[str, Picture]
    asymmetry: Picture | None


@dataclass(frozen=True, eq=False)
class Gallery:
    """The test images that a report shows.

    Attributes:
        cases: image_id to the reason why it is shown; images with a label of the target.
        failures: images whose segmentation is below ISIC's threshold.
        best: images whose segmentation is best.
        explained: name of the classifier whose saliency is shown, or None.
        extremes: images of its best and its worst saliency, and some at random.
        energy: share of the saliency inside the lesion, by image_id.
        jaccard: of the predicted and the ground-truth mask, by image_id.
        truths: true class by image_id, by the classifier's name.
        views: every image that is shown, by image_id.
    """

    cases: dict[str, str]
    failures: list[str]
    best: list[str]
    explained: str | None
    extremes: dict[str, list[str]]
    energy: dict[str, float]
    jaccard: dict[str, float]
    truths: dict[str, dict[str, str]]
    views: dict[str, View]


def make_gallery(run: Run, predictor: Predictor) -> Gallery:
    """Choose test images of a run and predict them; a score that was not measured selects none.

    Args:
        run: that is evaluated.
        predictor: its bundle.

    Raises:
        DataError: an image or a mask cannot be read.
    """
    bundle, scores = predictor.config, run.scores()
    labelled = {
        name: run.predictions(name) for name in bundle.classifiers if run.folder.prediction_file(name).is_file()
    }
    cases = choose_cases(labelled[bundle.target]) if bundle.target in labelled else {}
    failures = [] if scores is None else choose_failures(scores)
    best = [] if scores is None else choose_extremes(scores, "jaccard").get(BEST, [])
    explained = _explained(bundle)
    ranked = None if explained is None else network_saliency_scores(run, explained)
    extremes = {} if ranked is None else choose_extremes(ranked, RANKED_BY)
    shown = [*cases, *failures, *best, *(image for images in extremes.values() for image in images)]
    return Gallery(
        cases,
        failures,
        best,
        explained,
        extremes,
        energy=_by_image(ranked, RANKED_BY),
        jaccard=_by_image(scores, "jaccard"),
        truths={name: _by_image(one.table, "truth") for name, one in labelled.items()},
        views=view_images(predictor, run.table, shown),
    )


def _explained(bundle: BundleConfig) -> str | None:
    """The classifier whose saliency is shown: the first that the target reads, else the target."""
    target = bundle.classifiers.get(bundle.target)
    if target is None:
        return next(iter(bundle.classifiers), None)
    return next((source for source in target.reads if source in bundle.classifiers), bundle.target)


def _by_image(table: pd.DataFrame | None, column: str) -> dict[str, Any]:
    return {} if table is None else dict(zip(table["image_id"], table[column], strict=True))


def choose_cases(predictions: Predictions) -> dict[str, str]:
    """Test images to show: image_id to the reason.

    The most confident correct ones, the most confident wrong ones, then random ones with a fixed seed: first one of
    each class not shown yet, then any. No lesion is shown twice.

    Args:
        predictions: of the target.
    """
    order = np.random.default_rng(SEED).permutation(len(predictions.table))
    pool = predictions.table[["image_id", "group", "fold", "truth"]].assign(
        right=predictions.predicted == predictions.truth, confidence=predictions.confidence, reason=""
    )
    sampled = pool.iloc[order]
    sampled = sampled[sampled["fold"] == TEST]
    confident = sampled.sort_values("confidence", ascending=False, kind="stable")
    chosen = _add(
        confident.head(0), confident[confident["right"]], "among the most confident that are right", CONFIDENT_CASES
    )
    chosen = _add(chosen, confident[~confident["right"]], "among the most confident that are wrong", CONFIDENT_CASES)
    missing = sampled[~sampled["truth"].isin(chosen["truth"])].drop_duplicates("truth")
    chosen = _add(chosen, missing, "sampled from a class not shown above", CASES - len(chosen))
    chosen = _add(chosen, sampled, "sampled", CASES - len(chosen))
    return dict(zip(chosen["image_id"], chosen["reason"], strict=True))


def choose_failures(scores: pd.DataFrame) -> list[str]:
    """Test images whose Jaccard is below ISIC's threshold, the worst first; no lesion is shown twice.

    Args:
        scores: of segmentation, a row an image.
    """
    failed = scores[(scores["fold"] == TEST) & (scores["jaccard"] < JACCARD_THRESHOLD)]
    worst = failed.sort_values("jaccard", kind="stable").drop_duplicates("group").head(MAX_FAILURES)
    return list(worst["image_id"])


def choose_extremes(scores: pd.DataFrame, score: str) -> dict[str, list[str]]:
    """Test images of the best and of the worst score, and some at random; no lesion is shown twice.

    Args:
        scores: with columns ``image_id, group, fold`` and the score, a row an image.
        score: its column; higher is better.
    """
    tested = scores[(scores["fold"] == TEST) & scores[score].notna()]
    ranked = tested.sort_values(score, kind="stable")
    best = ranked.iloc[::-1].drop_duplicates("group").head(EXTREMES)
    worst = ranked[~ranked["group"].isin(best["group"])].drop_duplicates("group").head(EXTREMES)
    others = tested[~tested["group"].isin([*best["group"], *worst["group"]])].drop_duplicates("group")
    sampled = others.iloc[np.random.default_rng(SEED).permutation(len(others))[:EXTREMES]]
    chosen = {BEST: best, "worst": worst, "at random": sampled}
    return {which: list(rows["image_id"]) for which, rows in chosen.items() if len(rows)}


def view_images(predictor: Predictor, table: pd.DataFrame, image_ids: Iterable[str]) -> dict[str, View]:
    """Predicted and rendered images of a catalog, by image_id.

    Args:
        predictor: a bundle.
        table: the catalog.
        image_ids: of the images, in any order; duplicates are predicted once.

    Raises:
        DataError: an image or a mask cannot be read.
    """
    rows = table.set_index("image_id", drop=False).loc[list(dict.fromkeys(image_ids))]
    batches = (rows.iloc[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    return {view.image_id: view for batch in batches for view in _view_batch(predictor, batch)}


def _add(chosen: pd.DataFrame, candidates: pd.DataFrame, reason: str, count: int) -> pd.DataFrame:
    fresh = candidates[~candidates["group"].isin(chosen["group"])].drop_duplicates("group").head(count)
    return pd.concat([chosen, fresh.assign(reason=reason)])


def _view_batch(predictor: Predictor, rows: pd.DataFrame) -> Iterator[View]:
    images = [read_image(Path(path)) for path in rows["image_path"]]
    given = [Given(metadata=known_values(row.to_dict(), predictor.config.metadata)) for _, row in rows.iterrows()]
    for (_, row), image, prediction in zip(
        rows.iterrows(), images, predictor.predict_batch(images, given), strict=True
    ):
        yield _view(row, image, prediction)


def _view(row: pd.Series, image: np.ndarray, prediction: Prediction) -> View:
    name = str(row["image_id"])
    panel = resize(image, panel_size(image, PANEL_WIDTH, PANEL_WIDTH))
    saliency = {
        network: embed_jpeg(blend_saliency(panel, one.saliency), f"{name} under the saliency of {network}")
        for network, one in prediction.results.items()
    }
    outlined, outlines = _outlined(row, panel, prediction, (image.shape[1], image.shape[0]))
    return View(
        name, prediction, embed_jpeg(outlined, f"{name}, {outlines}"), outlines, saliency, _asymmetry(row, panel)
    )


def _outlined(
    row: pd.Series, panel: np.ndarray, prediction: Prediction, size: tuple[int, int]
) -> tuple[np.ndarray, str]:
    """An image with its outlines, and their names."""
    known = []
    if prediction.lesion is not None:
        panel = draw_outline(panel, prediction.lesion.mask, PREDICTED_COLOUR)
        known.append("predicted")
    if row["mask_path"]:
        panel = draw_outline(panel, read_mask(Path(row["mask_path"]), size), TRUE_COLOUR, dashed=True)
        known.append("true")
    return panel, f"{' and '.join(known)} outline" if known else "image"


def _asymmetry(row: pd.Series, panel: np.ndarray) -> Picture | None:
    path = row.get("asymmetry_path", "")
    if not path:
        return None
    grey = read_image(Path(path))[..., 0] / 255
    return embed_jpeg(blend_saliency(panel, grey), f"{row['image_id']} under the map of its planted asymmetry")
