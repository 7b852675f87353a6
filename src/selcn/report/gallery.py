"""Test images as the cascade sees them: chosen by rule, predicted with the run's own bundle."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image, read_mask
from selcn.evaluation import Predictions
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.inference.overlay import PREDICTED_COLOUR, TRUE_COLOUR, blend_saliency, draw_outline, panel_size
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction
from selcn.labels import TEST
from selcn.report.embed import Picture, embed_jpeg

CASES = 12
CERTAIN_CASES = 3  # right ones, and as many wrong ones
EXTREMES = 4  # best segmentations; best, worst and random saliency
FAILURES = 12  # segmentations below ISIC's threshold, at most
SEED = 0
BEST = "best"
PANEL_WIDTH = 320
_BATCH = 8


@dataclass(frozen=True, eq=False)
class View:
    """A test image as the cascade sees it.

    Attributes:
        image_id: of the catalog.
        prediction: what the bundle says of it.
        outlined: the picture with its outlines.
        symmetry: the picture under the symmetry saliency.
        diagnosis: the picture under the diagnosis saliency.
        asymmetry: the picture under the map of its planted asymmetry, where that is known.
    """

    image_id: str
    prediction: Prediction
    outlined: Picture
    symmetry: Picture
    diagnosis: Picture
    asymmetry: Picture | None


def choose_cases(predictions: Predictions) -> dict[str, str]:
    """Test images to show, and why each: image_id to reason.

    The most certain that are right, the most certain that are wrong, then at random with a fixed seed: first one of
    each diagnosis not shown yet, then any. No lesion is shown twice.
    """
    order = np.random.default_rng(SEED).permutation(len(predictions.table))
    probabilities = predictions.probabilities
    pool = predictions.table[["image_id", "group", "fold", "truth"]].assign(
        right=probabilities.argmax(axis=1) == predictions.truth, certainty=probabilities.max(axis=1), reason=""
    )
    drawn = pool.iloc[order]
    drawn = drawn[drawn["fold"] == TEST]
    certain = drawn.sort_values("certainty", ascending=False, kind="stable")
    chosen = _add(certain.head(0), certain[certain["right"]], "among the most certain that are right", CERTAIN_CASES)
    chosen = _add(chosen, certain[~certain["right"]], "among the most certain that are wrong", CERTAIN_CASES)
    missing = drawn[~drawn["truth"].isin(chosen["truth"])].drop_duplicates("truth")
    chosen = _add(chosen, missing, "drawn at random from a diagnosis not shown above", CASES - len(chosen))
    chosen = _add(chosen, drawn, "drawn at random", CASES - len(chosen))
    return dict(zip(chosen["image_id"], chosen["reason"], strict=True))


def choose_failures(scores: pd.DataFrame) -> list[str]:
    """Test images whose Jaccard is below ISIC's threshold, the worst first; no lesion is shown twice."""
    failed = scores[(scores["fold"] == TEST) & (scores["jaccard"] < JACCARD_THRESHOLD)]
    worst = failed.sort_values("jaccard", kind="stable").drop_duplicates("group").head(FAILURES)
    return list(worst["image_id"])


def choose_extremes(scores: pd.DataFrame, score: str) -> dict[str, list[str]]:
    """Test images of the best and of the worst score, and some at random; no lesion is shown twice."""
    tested = scores[(scores["fold"] == TEST) & scores[score].notna()]
    ranked = tested.sort_values(score, kind="stable")
    best = ranked.iloc[::-1].drop_duplicates("group").head(EXTREMES)
    worst = ranked[~ranked["group"].isin(best["group"])].drop_duplicates("group").head(EXTREMES)
    others = tested[~tested["group"].isin([*best["group"], *worst["group"]])].drop_duplicates("group")
    drawn = others.iloc[np.random.default_rng(SEED).permutation(len(others))[:EXTREMES]]
    chosen = {BEST: best, "worst": worst, "at random": drawn}
    return {which: list(rows["image_id"]) for which, rows in chosen.items() if len(rows)}


def view_images(predictor: Predictor, table: pd.DataFrame, image_ids: Iterable[str]) -> dict[str, View]:
    """Predict images of a catalog and draw what was said; by image_id.

    Raises:
        DataError: a picture or a mask cannot be read.
    """
    rows = table.set_index("image_id", drop=False).loc[list(dict.fromkeys(image_ids))]
    batches = (rows.iloc[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    return {view.image_id: view for batch in batches for view in _view_batch(predictor, batch)}


def _add(chosen: pd.DataFrame, candidates: pd.DataFrame, reason: str, count: int) -> pd.DataFrame:
    fresh = candidates[~candidates["group"].isin(chosen["group"])].drop_duplicates("group").head(count)
    return pd.concat([chosen, fresh.assign(reason=reason)])


def _view_batch(predictor: Predictor, rows: pd.DataFrame) -> Iterator[View]:
    pictures = [read_image(Path(path)) for path in rows["image_path"]]
    for (_, row), picture, prediction in zip(rows.iterrows(), pictures, predictor.predict_batch(pictures), strict=True):
        yield _view(row, picture, prediction)


def _view(row: pd.Series, picture: np.ndarray, prediction: Prediction) -> View:
    name = str(row["image_id"])
    panel = resize(picture, panel_size(picture, PANEL_WIDTH, PANEL_WIDTH))
    outlined, outlines = draw_outline(panel, prediction.mask, PREDICTED_COLOUR), "the predicted outline"
    if row["mask_path"]:
        true_mask = read_mask(Path(row["mask_path"]), picture.shape[1::-1])
        outlined, outlines = draw_outline(outlined, true_mask, TRUE_COLOUR, dashed=True), "predicted and true outline"
    return View(
        name,
        prediction,
        embed_jpeg(outlined, f"{name} with {outlines}"),
        embed_jpeg(blend_saliency(panel, prediction.symmetry_saliency), f"{name} under its symmetry saliency"),
        embed_jpeg(blend_saliency(panel, prediction.diagnosis_saliency), f"{name} under its diagnosis saliency"),
        _asymmetry(row, panel),
    )


def _asymmetry(row: pd.Series, panel: np.ndarray) -> Picture | None:
    path = row.get("asymmetry_path", "")
    if not path:
        return None
    grey = read_image(Path(path))[..., 0] / 255
    return embed_jpeg(blend_saliency(panel, grey), f"{row['image_id']} under the map of its planted asymmetry")
