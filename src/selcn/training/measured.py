"""Fit of a network whose symmetry is measured: a logistic model of standardised measures, regularised by the folds."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from selcn.data.datasets import Samples, Sources, as_floats, in_batches
from selcn.errors import DataError
from selcn.io.progress import OnProgress
from selcn.models.mirror_classifier import MirrorClassifier
from selcn.tasks.classification import ClassificationTask
from selcn.training.trainer import WEIGHTS

INVERSE_PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Values of C that are tried."""
DEFAULT_PENALTY = 0.1
"""C where there are too few folds to choose it by."""
ABSENT_CLASS = -20.0
"""Logit of a class that no image of training has."""
logger = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]


class Measured(NamedTuple):
    """Measures (n, K) of images that have a region to mirror, and their classes (n,)."""

    measures: Floats
    truth: npt.NDArray[np.int64]


def fit_measures(
    task: ClassificationTask,
    sources: Sources,
    folds: Sequence[np.ndarray],
    validation: np.ndarray,
    out: Path,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """Fit the logistic model and write `network.safetensors` to ``out``.

    The penalty is the one with the lowest log loss of the training folds, each predicted by a model of the others.

    Args:
        task: of a network with backbone mirror.
        sources: the arrays that it is fitted on.
        folds: int (n,) rows of each fold to train on.
        validation: int (m,) rows to validate on.
        out: folder for the weights.
        on_progress: called with images measured and images in all.

    Returns:
        `monitor`, `best`: name and value of the log loss of the validation rows; `balanced accuracy` of them; `C`, the
        inverse of the penalty; `undefined`, the number of images without a region to mirror, which are left out.

    Raises:
        DataError: fewer than two classes have an image with a region to mirror.
    """
    network = MirrorClassifier(len(task.section.labels.classes), size=task.section.size)
    chosen = [task.usable(sources, rows) for rows in (*folds, validation)]
    total = sum(map(len, chosen))
    parts, done = [], 0
    for rows in chosen:
        parts.append(measure(network, sources, rows, lambda now, _, before=done: on_progress(before + now, total)))
        done += len(rows)
    *known, held = parts
    undefined = total - sum(len(part.truth) for part in parts)
    if undefined:
        logger.info("network %s: %d of %d images have no region to mirror; left out", task.name, undefined, total)
    if len(np.unique(np.concatenate([part.truth for part in known]))) < 2:
        raise DataError(f"network {task.name}: only one class has a lesion to measure; add labelled images")
    penalty = _choose_penalty(known, task)
    model = _fit(known, task, penalty)
    network.set_model(*(torch.from_numpy(one) for one in model))
    save_file(network.state_dict(), out / WEIGHTS)
    scores: dict[str, Any] = {"best": None, "balanced accuracy": None}
    if len(held.truth):
        predicted = model.logits(held.measures).argmax(1)
        scores = {"best": _log_loss(model, held), "balanced accuracy": balanced_accuracy_score(held.truth, predicted)}
    return {"monitor": "val_loss", **scores, "C": penalty, "undefined": undefined}


@torch.inference_mode()
def measure(network: MirrorClassifier, sources: Sources, rows: np.ndarray, on_progress: OnProgress) -> Measured:
    """Measure some images.

    Args:
        network: whose input size is taken.
        sources: images, masks and labels.
        rows: int (n,) rows of ``sources`` that have a class.
        on_progress: called with images measured and images in all.
    """
    network.eval()
    samples, found = Samples(sources, rows), []
    for places in in_batches(np.arange(len(rows)), 16):
        batch = samples.__getitems__(places.tolist())
        one = network.measure(as_floats(batch.image), batch.mask.float())
        valid = one.valid.numpy()
        found.append(Measured(one.measures.numpy()[valid].astype(np.float64), batch.label.numpy()[valid]))
        on_progress(int(places[-1]) + 1, len(rows))
    if not found:
        return Measured(np.empty((0, len(network.mean))), np.empty(0, np.int64))
    return Measured(*(np.concatenate(values) for values in zip(*found, strict=True)))


class _Model(NamedTuple):
    """Mean and deviation of each measure (K,), weights of the standardised (C, K), bias (C,)."""

    mean: Floats
    deviation: Floats
    weight: Floats
    bias: Floats

    def logits(self, measures: Floats) -> Floats:
        """(n, C)."""
        return (measures - self.mean) / self.deviation @ self.weight.T + self.bias


def _fit(parts: Sequence[Measured], task: ClassificationTask, penalty: float) -> _Model:
    measures, truth = (np.concatenate(values) for values in zip(*parts, strict=True))
    mean, deviation = measures.mean(0), np.maximum(measures.std(0), 1e-9)
    balance = "balanced" if task.section.weighted else None
    fitted = LogisticRegression(C=penalty, class_weight=balance, max_iter=2000)
    fitted.fit((measures - mean) / deviation, truth)
    classes = len(task.section.labels.classes)
    weight, bias = np.zeros((classes, measures.shape[1])), np.full(classes, ABSENT_CLASS)
    two = len(fitted.classes_) == 2  # then scikit-learn keeps one logit, of the second class
    weight[fitted.classes_] = np.concatenate([-fitted.coef_, fitted.coef_]) / 2 if two else fitted.coef_
    bias[fitted.classes_] = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2 if two else fitted.intercept_
    return _Model(mean, deviation, weight, bias)


def _choose_penalty(parts: Sequence[Measured], task: ClassificationTask) -> float:
    """Inverse of the penalty; each fold in turn is predicted by a model of the others."""
    pairs = [([*parts[:number], *parts[number + 1 :]], held) for number, held in enumerate(parts) if len(held.truth)]
    pairs = [(rest, held) for rest, held in pairs if len({label for one in rest for label in one.truth}) > 1]
    if not pairs:
        return DEFAULT_PENALTY
    losses = [np.mean([_log_loss(_fit(rest, task, c), held) for rest, held in pairs]) for c in INVERSE_PENALTIES]
    return INVERSE_PENALTIES[int(np.argmin(losses))]


def _log_loss(model: _Model, held: Measured) -> float:
    logits = model.logits(held.measures)
    logits -= logits.max(1, keepdims=True)
    chosen = logits[np.arange(len(logits)), held.truth] - np.log(np.exp(logits).sum(1))
    return float(-chosen.mean())
