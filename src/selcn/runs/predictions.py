"""Prediction files of a run, written from its networks' outputs."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.datasets import in_batches
from selcn.evaluation.predictions import Predictions, write_predictions, write_scores
from selcn.evaluation.segmentation import segmentation_scores
from selcn.inference.reliability import NetworkReliability
from selcn.labels import TEST
from selcn.runs.folder import MASKS, MEMBER_PROBABILITIES, MEMBERS, PROBABILITIES
from selcn.runs.run import Run

logger = logging.getLogger(__name__)
Score = Callable[[np.ndarray, np.ndarray], pd.DataFrame]


def write_prediction_files(run: Run, out: Path) -> None:
    """Write each network's out-of-fold and ensemble test predictions to a file, and each member's test predictions.

    Images without a label, or without a ground-truth mask, are left out; a network without any of them gets no file.

    Args:
        run: whose outputs exist.
        out: folder to write to.
    """
    (out / MEMBERS).mkdir()
    for name in run.graph.classifiers:
        probabilities = run.output(name, PROBABILITIES)
        folds = [(rows, probabilities[rows]) for rows in run.fold_rows]
        tested = len(run.test_rows) > 0
        alone = run.output(name, MEMBER_PROBABILITIES) if tested else np.empty((0, 0, 0), dtype=np.float32)
        together = [(run.test_rows, np.mean([*alone], axis=0))] if tested else []
        rows, answers = zip(*folds, *together, strict=True)
        write_labelled(run, name, np.concatenate(rows), np.concatenate(answers), out / f"{name}.csv")
        for fold, answer in enumerate(alone):
            write_labelled(run, name, run.test_rows, answer, out / MEMBERS / f"{name}-fold-{fold}.csv")
    if run.graph.segmenter:
        scores = score_masks(run)
        if len(scores):
            write_scores(scores, out / f"{run.graph.segmenter}.csv")


def score_masks(run: Run, score: Score = segmentation_scores) -> pd.DataFrame:
    """Per-image scores of predicted masks against ground-truth masks, at the store's size.

    Args:
        run: whose segmentation outputs exist.
        score: from true and predicted masks, bool (n, H, W), to scores, one row an image.

    Returns:
        Columns ``image_id, group, fold`` and those of ``score``; empty where no image has a ground-truth mask.
    """
    masks = run.output(str(run.graph.segmenter), MASKS)
    subsets = [*run.fold_rows, run.test_rows]
    rows = np.concatenate([subset[run.store.has_mask[subset]] for subset in subsets])
    if not len(rows):
        return pd.DataFrame()
    return score_rows(run, rows, masks, at=rows, score=score)


def score_rows(
    run: Run,
    rows: np.ndarray,
    masks: np.ndarray,
    *,
    at: np.ndarray | None = None,
    score: Score = segmentation_scores,
) -> pd.DataFrame:
    """Per-image scores of masks of images that have a ground-truth mask, at the store's size.

    Args:
        run: with its store.
        rows: int (n,), in the catalog.
        masks: of these images, above 0 in the lesion (m, H, W).
        at: the position of each image's mask in ``masks``, int (n,); None where they are in the order of ``rows``.
        score: see `score_masks`.

    Returns:
        See `score_masks`.
    """
    at = np.arange(len(rows)) if at is None else at
    scores = [
        score(np.asarray(run.store.masks[batch]) > 0, np.asarray(masks[place]) > 0)
        for batch, place in zip(in_batches(rows), in_batches(at), strict=True)
    ]
    return pd.concat([_keys(run, rows), pd.concat(scores, ignore_index=True)], axis=1)


def write_labelled(
    run: Run,
    network: str,
    rows: np.ndarray,
    probabilities: np.ndarray,
    path: Path,
    measured: NetworkReliability | None = None,
) -> None:
    """Write the prediction file of a classifier's labelled images; no file where no image has a label.

    Images for which a network that measures symmetry is undefined are left out, and counted in the log.

    Args:
        run: of the network.
        network: its name.
        rows: int (n,), in the catalog.
        probabilities: (n, classes).
        path: of the file.
        measured: how they are recalibrated; None to write them as they are.
    """
    labels = run.labels(network)
    names = np.array([*labels.names, ""], dtype=object)  # number -1 is the last: unknown
    table = _keys(run, rows).assign(truth=names[run.class_numbers(network)[rows]])
    table[labels.names] = probabilities.astype(np.float64)
    undefined = (table["truth"] != "") & table[labels.names].isna().any(axis=1)
    if undefined.any():
        logger.info(
            "network %s: undefined for %d images, which %s leaves out", network, int(undefined.sum()), path.name
        )
    known = table[(table["truth"] != "") & ~undefined].reset_index(drop=True)
    if len(known):
        predictions = Predictions.of(known, str(path), labels)
        if measured is not None:
            predictions = predictions.with_probabilities(measured.recalibrate(predictions.probabilities))
        write_predictions(predictions, path)


def _keys(run: Run, rows: np.ndarray) -> pd.DataFrame:
    keys = run.table[["image_id"]].iloc[rows].reset_index(drop=True)
    image = keys["image_id"]
    return keys.assign(group=image.map(run.split.group), fold=image.map(run.split.part))


def tested_only(run: Run) -> np.ndarray:
    """Rows of the test subset, or all rows where there is none, bool (N,).

    Args:
        run: with catalog and split.
    """
    subset = run.table["image_id"].map(run.split.part)
    tested: np.ndarray = (subset == TEST).to_numpy()
    return tested if tested.any() else np.ones(len(subset), dtype=bool)
