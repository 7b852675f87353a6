"""Fit of a linear probe by L-BFGS: every view of every image at once, in place of steps on batches."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor
from torch.nn import functional as F

from selcn.data.datasets import Batch, Sources, in_batches
from selcn.errors import DivergedError, RunError
from selcn.tasks.frozen import FrozenTask

IMAGES = 4096
"""Images of a part."""
KEPT = 2**30
"""Bytes of features that are kept in memory; further parts are read anew in each iteration."""
HEAD = "head.linear."
OnEpoch = Callable[[int, Mapping[str, float]], None]


class Probe(NamedTuple):
    """A fitted linear probe.

    Attributes:
        weights: state dict of the whole network.
        best: the monitored value of these weights.
        epochs: losses and scores after each iteration.
    """

    weights: dict[str, Tensor]
    best: float
    epochs: list[dict[str, float]]


def fit_probe(
    task: FrozenTask,
    sources: Sources,
    train: np.ndarray,
    validation: np.ndarray,
    on_epoch: OnEpoch | None = None,
) -> Probe:
    """Minimise the task's mean loss, and `weight_decay` / 2 times the squared weights, by L-BFGS (Liu & Nocedal 1989).

    The penalty is on the weights of standardised features, so that it does not depend on their scale, and not on
    biases. An epoch is an iteration; the weights of the best are kept, and `patience` ends the fit.

    Args:
        task: of a frozen network with `optimiser: lbfgs`, whose section has monitor, patience, epochs and weight_decay.
        sources: features of each view as ``views`` (N, V, C, h, w), and labels.
        train: int (n,) rows to fit to.
        validation: int (m,) rows to validate on.
        on_epoch: called after each iteration with its number from 1, losses and score.

    Raises:
        RunError: no image to fit to, or to validate on, has a label.
        DivergedError: a feature is NaN or infinite.
    """
    rows = {"training": task.usable(sources, train), "validation": task.usable(sources, validation)}
    for subset, usable in rows.items():
        if not len(usable):
            raise RunError(f"network {task.name}: no {subset} image has a label; add labelled images")
    known = _Examples(sources, rows["training"], all_views=task.section.augment.flip)
    fit = _Fit(task, known, _Examples(sources, rows["validation"], all_views=False), on_epoch)
    start = np.zeros(len(task.section.labels.classes) * (len(fit.mean) + 1))
    limits: Any = {"maxiter": task.section.epochs, "gtol": 1e-4, "ftol": 1e-9}
    # Typed loosely, as SciPy's stubs know neither the callback's argument by name nor every option.
    solve: Any = minimize
    solve(fit.objective, start, jac=True, method="L-BFGS-B", callback=fit.end_epoch, options=limits)
    if not fit.epochs:  # the start is the optimum
        fit.record(start, fit.objective(start)[0])
    weights = task.completed(dict(zip((HEAD + "weight", HEAD + "bias"), fit.best_layer, strict=True)))
    return Probe(weights, fit.best, fit.epochs)


@dataclass(eq=False)
class _Examples:
    """Pooled features of some rows, a part at a time; each view is an example of its own, or the first alone."""

    sources: Sources
    rows: np.ndarray
    all_views: bool
    kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Features float32 (n * views, C) and labels (n * views,) of each part; the first ones are kept."""
        size = 0
        for number, rows in enumerate(in_batches(self.rows, IMAGES)):
            part = self.kept[number] if number < len(self.kept) else self._gathered(rows)
            size += part[0].nbytes
            if number == len(self.kept) and size <= KEPT:
                self.kept.append(part)
            yield part

    def _gathered(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        arrays, labels = self.sources.views, self.sources.labels
        assert arrays is not None
        assert labels is not None
        views = torch.from_numpy(np.asarray(arrays[rows] if self.all_views else arrays[rows, :1]))
        pooled = views.flatten(2) if views.shape[3:] == (1, 1) else views.flatten(3).mean(3)
        return pooled.flatten(0, 1), torch.from_numpy(labels[rows]).repeat_interleave(pooled.shape[1])

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each feature, float32 (C,), joined over parts (Chan et al. 1983)."""
        count, mean, squares = 0, torch.zeros(1), torch.zeros(1)
        for features, _ in self:
            new = len(features)
            own = features.mean(0)
            apart, whole = own - mean, count + new
            squares = squares + (features - own).square_().sum(0) + apart.square() * (count * new / whole)
            mean, count = mean + apart * (new / whole), whole
        deviation = (squares / count).sqrt()
        return mean, torch.where(deviation == 0, 1.0, deviation)  # a feature that is always the same stays as it is


@dataclass(eq=False)
class _Fit:
    """The penalised loss as a function of all parameters in one array (classes, C + 1), and what came of them."""

    task: FrozenTask
    known: _Examples
    held: _Examples
    on_epoch: OnEpoch | None
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: float = float("nan")

    def __post_init__(self) -> None:
        self.score, self.further = self.task.metric(), self.task.further_metrics()
        self.mass = sum(float(self.task.mass(Batch(features, label=label))) for features, label in self.known)
        self.mean, self.deviation = self.known.moments()
        if not (self.mean.isfinite().all() and self.deviation.isfinite().all()):
            raise DivergedError(
                f"network {self.task.name}: its backbone's features are NaN or infinite; mend its weights"
            )

    def layer(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (classes, C) and biases (classes,) for features as they are, from those for standardised ones."""
        weight = parameters[:, :-1] / self.deviation
        return weight, parameters[:, -1] - weight @ self.mean

    def objective(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Penalised mean loss, and its gradient in the same order as the parameters."""
        parameters = self._parameters(flat)
        layer, weight = self.layer(parameters), parameters[:, :-1]
        decay = self.task.section.weight_decay
        loss, gradient = decay / 2 * float(weight.square().sum()), torch.zeros_like(parameters)
        gradient[:, :-1] = decay * weight
        for features, labels in self.known:
            # Autograd sees the logits alone: it works in a thread of its own, whose helpers would be in the way here.
            logits = F.linear(features, *layer).requires_grad_()
            share = float(self.task.mass(Batch(features, label=labels))) / self.mass
            part = share * self.task.cross_entropy(logits, labels, training=True)
            (slope,) = torch.autograd.grad(part, logits)
            loss += float(part.detach())
            bias = slope.sum(0)
            gradient[:, :-1] += (slope.T @ features - torch.outer(bias, self.mean)) / self.deviation
            gradient[:, -1] += bias
        return loss, gradient.double().numpy().ravel()

    def end_epoch(self, intermediate_result: OptimizeResult) -> None:
        """Called by SciPy after each iteration, by this argument's name; ends the fit when patience has run out."""
        self.record(intermediate_result.x, float(intermediate_result.fun))
        if len(self.epochs) - self.best_epoch >= self.task.section.patience:
            raise StopIteration

    @torch.inference_mode()
    def record(self, flat: np.ndarray, loss: float) -> None:
        """Validate the parameters, and keep them if they are the best so far."""
        layer = self.layer(self._parameters(flat))
        total, mass = 0.0, 0.0
        for metric in (self.score, *self.further.values()):
            metric.reset()
        for features, label in self.held:
            batch, logits = Batch(features, label=label), F.linear(features, *layer)
            weight = float(self.task.mass(batch))
            total += weight * float(self.task.cross_entropy(logits, label, training=False))
            mass += weight
            self.task.update(self.score, logits, batch)
            self.task.update_further(self.further, logits, batch)
        values = {"train_loss": loss, "val_loss": total / mass, f"val_{self.task.score}": float(self.score.compute())}
        self._keep_best(values, layer)
        self.epochs.append({**values, **{f"val_{name}": float(one.compute()) for name, one in self.further.items()}})
        if self.on_epoch:
            self.on_epoch(len(self.epochs), values)

    def _keep_best(self, values: Mapping[str, float], layer: tuple[Tensor, Tensor]) -> None:
        monitor, mode = self.task.monitored
        value = values[monitor]
        if not self.epochs or (value > self.best if mode == "max" else value < self.best):
            self.best, self.best_layer, self.best_epoch = value, layer, len(self.epochs) + 1

    def _parameters(self, flat: np.ndarray) -> Tensor:
        return torch.from_numpy(flat.astype(np.float32)).view(-1, len(self.mean) + 1)
