"""What the ensemble of a bundle predicts of a run's own images: to calibrate it, and to score it where changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from selcn.data.datasets import as_floats, gather_images, in_batches
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.predictions import Predictions, read_predictions, write_scores
from selcn.evaluation.registry import headline_metrics
from selcn.inference.reliability import NetworkReliability
from selcn.labels import CALIBRATION
from selcn.models.cascade import Known
from selcn.models.ensemble import Ensemble
from selcn.runs.predictions import score_rows, write_labelled
from selcn.runs.run import Run


@dataclass(frozen=True)
class EnsembleOutputs:
    """What an ensemble predicts of n images.

    Attributes:
        masks: uint8 0 or 1 (n, H, W); empty without a segmentation network.
        probabilities: float32 (n, C), by the classifier's name.
    """

    masks: np.ndarray
    probabilities: dict[str, np.ndarray]


@torch.inference_mode()
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # as exact as on a CPU, where the bundle may be used
def predict_stored(run: Run, ensemble: Ensemble, rows: np.ndarray) -> EnsembleOutputs:
    """Predict images of a run's store with an ensemble, on the device that it is on.

    Args:
        run: with its store.
        ensemble: of networks of the run.
        rows: int (n,), in the catalog; at least one.
    """
    masks, probabilities = [], []
    device = next(ensemble.parameters()).device
    for batch in in_batches(rows):
        metadata = torch.from_numpy(run.metadata.numbers[batch]).to(device)
        found = ensemble(as_floats(gather_images(run.store, batch).to(device)), Known(metadata=metadata))
        if found.lesion is not None:
            masks.append((found.lesion[:, 0] > LESION_THRESHOLD).to(torch.uint8).numpy(force=True))
        probabilities.append({name: one.numpy(force=True) for name, one in found.probabilities.items()})
    joined = {name: np.concatenate([part[name] for part in probabilities]) for name in probabilities[0]}
    return EnsembleOutputs(np.concatenate(masks) if masks else np.empty(0, dtype=np.uint8), joined)


def calibration_predictions(run: Run, ensemble: Ensemble, network: str) -> Predictions | None:
    """Predictions of the calibration subset by the ensemble; None without such a subset or without labels there.

    Args:
        run: with its store.
        ensemble: of networks of the run.
        network: name of the classifier.
    """
    rows = run.split.rows(run.table, CALIBRATION)
    if not len(rows) or not run.labelled(network)[rows].any():
        return None
    probabilities = predict_stored(run, ensemble, rows).probabilities[network]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{network}.csv"
        write_labelled(run, network, rows, probabilities, path)
        return read_predictions(path, run.labels(network))


def score_test_subset(
    run: Run, ensemble: Ensemble, names: Sequence[str], measured: Mapping[str, NetworkReliability]
) -> list[Mapping[str, Any]]:
    """Headline metrics of an ensemble on the test subset with 95 % intervals, see `evaluate_file`.

    Args:
        run: with its store.
        ensemble: of networks of the run.
        names: of the networks to score.
        measured: how the bundle recalibrates its networks, by name; others are not recalibrated.

    Returns:
        A mapping a metric with ``network`` beside the columns of `evaluate_file`; none without a test subset.
    """
    rows = run.test_rows
    if not len(rows):
        return []
    outputs, found = predict_stored(run, ensemble, rows), []
    with TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / f"{name}.csv"
            labels = run.labels(name) if name in outputs.probabilities else None
            if labels is None:
                scored = np.flatnonzero(run.store.has_mask[rows])
                if len(scored):
                    write_scores(score_rows(run, rows[scored], outputs.masks[scored]), path)
            else:
                write_labelled(run, name, rows, outputs.probabilities[name], path, measured.get(name))
            if path.is_file():
                table = evaluate_file(path, labels=labels, resamples=run.config.resamples)
                found += headlines(table, name)
    return found


def headlines(table: pd.DataFrame, network: str) -> list[Mapping[str, Any]]:
    """The headline metrics of a table as mappings, NaN as None.

    Args:
        table: of `evaluate_file`.
        network: that it is of.
    """
    rows = table[table["metric"].isin(headline_metrics(table["metric"]))].astype(object)
    return rows.where(rows.notna(), None).assign(network=network).to_dict("records")  # type: ignore[return-value]
