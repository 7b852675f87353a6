"""A bundle scored on a labelled catalog: predictions joined with the truth, as files that `selcn evaluate` reads.

```
OUT/
  NETWORK.csv       per-image class probabilities, or mask scores at the size of prepared images, with the truth
  metrics.csv       metrics of each network with 95 % intervals by lesion
  sets.csv          coverage and size of the target's prediction sets, where the bundle has them
  evaluation.json   the same with counts of images, of those without truth and of those that were trained on
```
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import catalog_hash, groups
from selcn.data.imaging.prepare import prepare_mask
from selcn.data.imaging.read import read_mask
from selcn.data.metadata import known_values
from selcn.errors import DataError
from selcn.evaluation.conformal import PredictionSets, prediction_set_table
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.predictions import PREDICTED, Predictions, read_predictions, write_predictions, write_scores
from selcn.evaluation.segmentation import segmentation_scores
from selcn.inference.batch import predict_frames
from selcn.inference.bundle import BundleConfig
from selcn.inference.given_table import GivenRow
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.inference.reliability import SetThresholds
from selcn.inference.result import NO_CLASS, Prediction
from selcn.inference.row import Row
from selcn.inference.stream import Decoded, work_through
from selcn.io.files import write_text
from selcn.labels import TEST, LabelSet
from selcn.runs.taken import refuse_seen

METRICS, SETS, EVALUATION = "metrics.csv", "sets.csv", "evaluation.json"
_RAW = "scored.jsonl"


@dataclass(frozen=True)
class BundleScores:
    """What scoring a bundle gave.

    Attributes:
        bundle: its name.
        images: of the catalog.
        seen: images whose lesion, or which themselves, a network of the bundle was trained on.
        failed: the error of each image that cannot be read.
        without_truth: images without truth, by the network's name; of a network without any truth all of them.
        undefined: images with truth for which a network that measures symmetry is undefined, by its name.
        metrics: columns ``network, metric, fold_part, value, low, high, images, groups``.
    """

    bundle: str
    images: int
    seen: int
    failed: list[str]
    without_truth: dict[str, int]
    undefined: dict[str, int]
    metrics: pd.DataFrame

    def to_json(self) -> str:
        """All of it as JSON; NaN is null."""
        metrics = json.loads(self.metrics.to_json(orient="records", double_precision=15))
        return json.dumps({**asdict(self), "metrics": metrics}, indent=1)


def score_bundle(
    predictors: Sequence[Predictor],
    bundle: Path,
    table: pd.DataFrame,
    out: Path,
    *,
    source: str = "",
    overlap: bool = False,
    resamples: int = 2000,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> BundleScores:
    """Predict a catalog's images, and score every network of which the catalog knows the truth; resumable.

    Args:
        predictors: of the bundle, one a device.
        bundle: its folder.
        table: the catalog.
        out: folder, see this module; made where it does not exist.
        source: identifies bundle and engine; work of another source is not resumed.
        overlap: whether images of lesions that the bundle was trained on may be among them.
        resamples: bootstrap resamples of lesions.
        seed: of the bootstrap.
        on_progress: called with images done and images in all.

    Raises:
        ConfigError: the bundle was trained on lesions of the catalog, and ``overlap`` is not set.
        DataError: no network has any truth.
    """
    config, seen = predictors[0].config, refuse_seen(bundle, table, overlap=overlap)
    truth = _truth(config, table)
    if not any(known.any() for known in truth.values()):
        raise DataError("the catalog knows neither masks nor classes of the bundle's networks; fill in its columns")
    failed = _predict_images(predictors, table, out / _RAW, source, on_progress)
    rows = pd.read_json(out / _RAW, lines=True, precise_float=True, dtype=False)
    written = _write_files(config, table, truth, rows, out)
    metrics = _metrics(written, out, resamples, seed)
    metrics.to_csv(out / METRICS, index=False)
    if config.sets is not None and config.target in written:
        target = read_predictions(out / f"{config.target}.csv", config.labels(config.target))
        _own_sets(config.sets, target, resamples, seed).to_csv(out / SETS, index=False)
    unknown = {name: int((~known).sum()) for name, known in truth.items()}
    scores = BundleScores(config.name, len(table), seen, failed, unknown, _undefined(config, truth, rows), metrics)
    write_text(out / EVALUATION, scores.to_json())
    (out / _RAW).unlink()
    return scores


def _predict_images(
    predictors: Sequence[Predictor],
    table: pd.DataFrame,
    path: Path,
    source: str,
    on_progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Write a row an image, see `_scored`; return the error of each that cannot be read."""
    items, config = [Item(one) for one in table["image_path"]], predictors[0].config
    metadata = [known_values(row, config.metadata) for row in table.to_dict("records")]
    plan = {"command": "evaluate", "bundle": source, "catalog": catalog_hash(table), "metadata": metadata}

    def describe(number: int, decoded: Decoded, predictions: list[Prediction]) -> list[Row]:
        if isinstance(decoded, DataError) or len(predictions) != 1:
            said = str(decoded) if isinstance(decoded, DataError) else f"{items[number].name}: holds several frames"
            return [{"_row": number, "error": said}]
        return [_scored(config, table.iloc[number], number, predictions[0])]

    return work_through(
        predictors,
        items,
        path,
        plan,
        predict=predict_frames,
        describe=describe,
        seal=_seal,
        given={number: GivenRow(metadata=values) for number, values in enumerate(metadata) if values},
        on_progress=on_progress,
    )


def _metrics(written: dict[str, LabelSet | None], out: Path, resamples: int, seed: int) -> pd.DataFrame:
    """Metrics of each network's file; see `BundleScores`."""
    tables = [
        evaluate_file(out / f"{name}.csv", labels=labels, resamples=resamples, seed=seed).assign(network=name)
        for name, labels in written.items()
    ]
    joined = pd.concat(tables, ignore_index=True)
    return joined[["network", *joined.columns.drop("network")]]


def _own_sets(sets: SetThresholds, predictions: Predictions, resamples: int, seed: int) -> pd.DataFrame:
    """Coverage and size of the bundle's own sets, of predictions that it calibrated; see `prediction_set_table`."""
    lowest = {name: sets.lowest[name] for name in predictions.classes}
    own = PredictionSets(sets.coverage, lowest, lesions={})
    return prediction_set_table(predictions, own, resamples=resamples, seed=seed).drop(columns="lesions")


def _truth(config: BundleConfig, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Images whose mask or class is known, bool (N,), by the network's name."""
    nothing = pd.Series("", index=table.index)
    known = {} if config.segmenter is None else {config.segmenter: (table["mask_path"] != "").to_numpy()}
    for name in config.classifiers:
        labels = config.labels(name)
        known[name] = np.array(labels.numbers(table.get(labels.column, nothing))) >= 0
    return known


def _undefined(config: BundleConfig, truth: dict[str, np.ndarray], rows: pd.DataFrame) -> dict[str, int]:
    """Images with truth whose measured symmetry is undefined, by the network's name."""
    measured = [name for name, spec in config.classifiers.items() if spec.measured and name in rows]
    known = {name: rows[name][truth[name][rows["_row"]]] for name in measured}
    return {name: sum(one[PREDICTED] == NO_CLASS for one in values) for name, values in known.items()}


def _scored(config: BundleConfig, entry: pd.Series, number: int, prediction: Prediction) -> Row:
    """Probabilities of each classifier, and the scores of the mask where its truth is known, of one image."""
    row: Row = {"_row": number}
    for name, result in prediction.results.items():
        row[name] = {**result.probabilities, PREDICTED: result.prediction}
    if prediction.lesion is None or not entry["mask_path"]:
        return row
    try:
        true = read_mask(Path(entry["mask_path"]))
    except DataError as error:
        return {"_row": number, "error": str(error)}
    masks = [prepare_mask(mask, config.prepare.size)[None] for mask in (true, prediction.lesion.mask)]
    row[str(config.segmenter)] = segmentation_scores(*masks).iloc[0].to_dict()
    return row


def _seal(rows: Iterable[Row], path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows if "error" not in row)
    path.write_text(text, encoding="utf-8")


def _write_files(
    config: BundleConfig, table: pd.DataFrame, truth: dict[str, np.ndarray], rows: pd.DataFrame, out: Path
) -> dict[str, LabelSet | None]:
    """Write the file of each network with any truth; their label sets by the network's name."""
    keys = pd.DataFrame({"image_id": table["image_id"], "group": groups(table), "fold": TEST})
    written: dict[str, LabelSet | None] = {}
    for name, known in truth.items():
        chosen = rows[known[rows["_row"]]] if len(rows) else rows
        if not len(chosen):
            continue
        own = keys.iloc[chosen["_row"]].reset_index(drop=True)
        if name == config.segmenter:
            scores = pd.DataFrame(chosen[name].tolist())
            write_scores(pd.concat([own, scores], axis=1), out / f"{name}.csv")
            written[name] = None
            continue
        labels = config.labels(name)
        own["truth"] = [labels.class_of(word) for word in table[labels.column].iloc[chosen["_row"]]]
        answers = pd.DataFrame(chosen[name].tolist())
        own[labels.names], own[PREDICTED] = answers[labels.names].astype(np.float64), answers[PREDICTED]
        own = own[own[labels.names].notna().all(axis=1)].reset_index(drop=True)  # of measured symmetry, undefined
        if len(own):
            write_predictions(Predictions.of(own, name, labels), out / f"{name}.csv")
            written[name] = labels
    if not written:
        raise DataError("no image with a known mask or class can be read; check the catalog's paths")
    return written
