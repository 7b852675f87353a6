"""A bundle's target on corrupted images beside the clean ones, as files; resumable.

```
OUT/
  scores.csv       one row an image, corruption and severity, see `selcn.evaluation.robustness.robustness_table`
  robustness.csv   metrics with 95 % intervals by lesion, and differences from the clean images
  robustness.json  the same, with the bundle's name and counts of images
  corruptions.jpg  an image of the catalog under every corruption and severity
  plan.json        what was measured
```
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.stats import rankdata

import selcn
from selcn.data.catalog import catalog_hash, groups
from selcn.data.corruptions import CLEAN, CORRUPTIONS, SEVERITIES, corrupt, find_corruption, generator_of, move_of
from selcn.data.imaging.prepare import resize, shrunk
from selcn.data.imaging.read import read_image, write_image
from selcn.data.metadata import known_values
from selcn.errors import ConfigError, DataError
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.predictions import PREDICTED
from selcn.evaluation.robustness import robustness_table
from selcn.inference.given import Given
from selcn.inference.overlay import arrange, panel_size
from selcn.inference.predictor import Predictor
from selcn.inference.result import describe, prepare
from selcn.inference.stream import BATCH
from selcn.io.files import write_text
from selcn.io.progress import OnProgress
from selcn.io.resume import work_in_parts
from selcn.io.tables import guarded
from selcn.labels import LabelSet
from selcn.runs.taken import refuse_seen

SCORES, TABLE, SUMMARY, SHEET = "scores.csv", "robustness.csv", "robustness.json", "corruptions.jpg"
_PART = "rows.json"
_PANEL = (120, 160)  # narrowest and widest panel of the sheet, pixels
_SHORT = 64  # pixels of the short side of moved maps
_INSIDE = 0.99  # share of a pixel that must come from within the clean map
Condition = tuple[str, int]


class Wanted(NamedTuple):
    """What to measure.

    Attributes:
        corruptions: names of `selcn.data.corruptions.CORRUPTIONS`; empty for all.
        images: this many, sampled at random; None for all with a class of the target.
        overlap: whether images of lesions that the bundle was trained on may be among them.
    """

    corruptions: tuple[str, ...] = ()
    images: int | None = None
    overlap: bool = False


@dataclass(frozen=True)
class Robustness:
    """What was measured.

    Attributes:
        bundle: its name.
        images: that were measured.
        without_truth: images of the catalog that were left out, since their class is unknown.
        failed: the error of each image that cannot be read.
        table: as `selcn.evaluation.robustness.robustness_table` gives it.
    """

    bundle: str
    images: int
    without_truth: int
    failed: list[str]
    table: pd.DataFrame

    def to_json(self) -> str:
        """All of it as JSON; NaN is null."""
        counts = {"bundle": self.bundle, "images": self.images, "without_truth": self.without_truth}
        rows = json.loads(self.table.to_json(orient="records", double_precision=15))
        return json.dumps({**counts, "failed": self.failed, "metrics": rows}, indent=1)


def measure_robustness(
    predictor: Predictor,
    bundle: Path,
    table: pd.DataFrame,
    out: Path,
    wanted: Wanted | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Robustness:
    """Predict a catalog's images as they are and under every corruption and severity, and score the target.

    Args:
        predictor: of the bundle.
        bundle: its folder.
        table: the catalog.
        out: folder to make, see this module.
        wanted: corruptions and images; None for all of both.
        resamples: bootstrap resamples of lesions.
        seed: of the corruptions, of the sample of images and of the bootstrap.
        on_progress: called with images done and images in all.

    Raises:
        ConfigError: an unknown corruption, the target is no classifier, or the bundle was trained on lesions of the
            catalog and ``wanted`` does not allow it.
        DataError: no image has a class of the target, none can be read, or ``out`` holds something else.
    """
    wanted = wanted or Wanted()
    names = [find_corruption(name).name for name in dict.fromkeys(wanted.corruptions)] or list(CORRUPTIONS)
    chosen, without_truth = _chosen(predictor, bundle, table, wanted, seed)
    _measure_images(predictor, chosen, names, seed, catalog_hash(table), out, on_progress)
    scores, failed = _read_scores(out / SCORES)
    found = robustness_table(scores, _labels(predictor), resamples=resamples, seed=seed)
    found.to_csv(out / TABLE, index=False)
    measured = Robustness(predictor.name, scores["image_id"].nunique(), without_truth, failed, found)
    write_text(out / SUMMARY, measured.to_json())
    _write_sheet(chosen, scores["image_id"].iloc[0], names, seed, out / SHEET)
    return measured


def _measure_images(
    predictor: Predictor,
    chosen: pd.DataFrame,
    names: Sequence[str],
    seed: int,
    catalog: str,
    out: Path,
    on_progress: OnProgress | None,
) -> None:
    """Write the scores of every image, corruption and severity; resumable, image by image."""
    plan = {
        "command": "robustness",
        "bundle": predictor.digest,
        "engine": predictor.engine,
        "catalog": catalog,
        "images": chosen["image_id"].tolist(),
        "corruptions": list(names),
        "seed": seed,
        "selcn": selcn.__version__,
    }

    def do(number: int, folder: Path) -> None:
        rows = _image_rows(predictor, chosen.iloc[number], names, seed)
        (folder / _PART).write_text(json.dumps(rows), encoding="utf-8")

    def seal(parts: list[Path], folder: Path) -> None:
        rows = [row for part in parts for row in json.loads((part / _PART).read_text(encoding="utf-8"))]
        if not any("error" not in row for row in rows):
            raise DataError(f"{chosen['image_path'].iloc[0]}: no image can be read; check the catalog's paths")
        guarded(pd.DataFrame(rows)).to_csv(folder / SCORES, index=False)

    work_in_parts(out, plan, len(chosen), do, seal, on_progress)


def _chosen(
    predictor: Predictor, bundle: Path, table: pd.DataFrame, wanted: Wanted, seed: int
) -> tuple[pd.DataFrame, int]:
    """The images to measure, with ``group`` and ``truth``, and how many have no class of the target."""
    target = predictor.config.target
    if target not in predictor.config.classifiers:
        raise ConfigError(f"{bundle}: its target {target} is no classifier; give a bundle of one")
    refuse_seen(bundle, table, overlap=wanted.overlap)
    labels = _labels(predictor)
    words = table.get(labels.column, pd.Series("", index=table.index))
    known = table.assign(group=groups(table), truth=[labels.class_of(word) for word in words])
    known = known[known["truth"] != ""].reset_index(drop=True)
    if known.empty:
        raise DataError(f"no image has a class of {target} in the column {labels.column}; fill it in")
    without = len(table) - len(known)
    if wanted.images is None or wanted.images >= len(known):
        return known, without
    rows = np.sort(np.random.default_rng(seed).permutation(len(known))[: wanted.images])
    return known.iloc[rows].reset_index(drop=True), without


def _image_rows(predictor: Predictor, entry: pd.Series, names: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """A row for each condition of one image; one with its error where it cannot be read."""
    try:
        image = shrunk(read_image(Path(entry["image_path"])), predictor.config.prepare.size)
    except DataError as error:
        return [{"error": str(error)}]
    metadata = known_values(entry.to_dict(), predictor.config.metadata)
    conditions: list[Condition] = [(CLEAN, 0), *((name, severity) for name in names for severity in SEVERITIES)]

    def spoil(condition: Condition) -> np.ndarray:
        name, severity = condition
        spoiled = corrupt(image, name, severity, generator_of(seed, entry["image_id"], name))
        return prepare(spoiled, predictor.config)

    with ThreadPoolExecutor() as pool:
        prepared = np.stack(list(pool.map(spoil, conditions)))
    (clean, clean_map), *_ = _answers(predictor, prepared[:1], Given(metadata=metadata))
    given = Given(classes={predictor.config.target: clean[PREDICTED]}, metadata=metadata)
    rows = []
    for (name, severity), (answer, saliency) in zip(conditions, _answers(predictor, prepared, given), strict=True):
        matrix = move_of(name, severity, _map_size(image), generator_of(seed, entry["image_id"], name))
        probabilities = answer.pop("probabilities")
        keys = {key: str(entry[key]) for key in ("image_id", "group", "truth")}
        stable = stability(clean_map, saliency, matrix, _map_size(image))
        covered = {} if answer["set"] is None else {"covered": entry["truth"] in answer["set"]}
        sizes = {} if answer["set"] is None else {"set_size": len(answer["set"])}
        own = {"corruption": name, "severity": severity, **probabilities}
        own |= {key: answer[key] for key in (PREDICTED, "abstained")}
        rows.append({**keys, **own, **covered, **sizes, "saliency": None if np.isnan(stable) else stable})
    return rows


def _answers(predictor: Predictor, prepared: np.ndarray, given: Given) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Of each image what is predicted, and the map of the given class or else of the predicted one."""
    config, target = predictor.config, predictor.config.target
    measured = config.reliability.networks.get(target) if config.reliability else None
    checked, found = predictor.check(given), []
    for start in range(0, len(prepared), BATCH):
        batch = prepared[start : start + BATCH]
        outputs = predictor.infer(batch, [checked] * len(batch))
        for number, one in enumerate(batch):
            # Described as if nothing were given: the probabilities are the network's own.
            prediction = describe(config, one, outputs, number, config.prepare.size)
            answer = {
                "probabilities": prediction[target].probabilities,
                PREDICTED: prediction[target].prediction,
                "abstained": prediction.abstain if measured else None,
                "set": prediction.set,
            }
            found.append((answer, prediction[target].saliency))
    return found


def stability(clean: np.ndarray, saliency: np.ndarray, matrix: np.ndarray | None, size: tuple[int, int]) -> float:
    """Rank correlation (Spearman) of a corrupted image's map with the clean one's, which is moved as the image was.

    Args:
        clean: map of the clean image, float (h, w).
        saliency: map of the corrupted image, float (h, w).
        matrix: where pixels of an image of ``size`` went, see `selcn.data.corruptions.move_of`; None where they stayed.
        size: width and height at which moved maps are compared, where the clean one is known.

    Returns:
        -1 to 1; NaN where either is flat.
    """
    if matrix is None:
        return _rank_correlation(clean.ravel(), saliency.ravel())
    resized = [cv2.resize(one.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for one in (clean, saliency)]
    moved = cv2.warpAffine(resized[0], matrix, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones(size[::-1], np.float32), matrix, size, flags=cv2.INTER_LINEAR) > _INSIDE
    return _rank_correlation(moved[inside], resized[1][inside])


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    if min(map(len, (one, other))) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _map_size(image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    return round(_SHORT * width / min(width, height)), round(_SHORT * height / min(width, height))


def _labels(predictor: Predictor) -> LabelSet:
    return predictor.config.labels(predictor.config.target)


def _read_scores(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of images that were read, and the errors of others."""
    texts = dict.fromkeys(("image_id", "group", "truth", "corruption"), str)
    scores = pd.read_csv(path, dtype=texts)
    if "error" not in scores:
        return scores, []
    bad = scores["error"].notna()
    kept = scores[~bad].drop(columns="error").reset_index(drop=True)
    return kept.astype({"severity": int}), scores.loc[bad, "error"].tolist()


def _write_sheet(chosen: pd.DataFrame, image_id: str, names: Sequence[str], seed: int, path: Path) -> None:
    """Draw an image under every corruption (rows) and severity (columns)."""
    entry = chosen[chosen["image_id"] == image_id].iloc[0]
    image = read_image(Path(entry["image_path"]))
    size = panel_size(image, *_PANEL)
    panels, captions = [], []
    for name in names:
        for severity in SEVERITIES:
            spoiled = corrupt(image, name, severity, generator_of(seed, image_id, name))
            panels.append(resize(spoiled, size))
            captions.append([f"{name} {severity}"])
    write_image(path, arrange(panels, captions, len(SEVERITIES)))
