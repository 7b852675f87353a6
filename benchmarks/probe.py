"""Seconds of a linear probe in 5 folds, after the feature pass, and of scikit-learn's logistic regression.

10,000 synthetic features of 1,280 channels in 7 classes as frequent as HAM10000's, a point a class with normal noise
around it; no image is read. selcn fits with the recipe of docs/training.md (`optimiser: lbfgs`), each fold stopping
early, and writes the network's weights and logs; the regression is scikit-learn's as it comes, with as many steps as it
needs, and writes nothing. Alternated repeats, medians. The floor is one forward and backward pass of the linear layer
alone over all images of a fold for each of the iterations.
"""

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from selcn.config import ClassificationSection
from selcn.data.datasets import Sources
from selcn.data.store.store import Store
from selcn.tasks.frozen import FrozenTask
from selcn.training.trainer import fit
from timing import alternated, seconds

IMAGES, BACKBONE, CHANNELS, FOLDS, REPEATS = 10_000, "efficientnet_lite0", 1_280, 5, 3
SHARES, APART = (0.67, 0.11, 0.11, 0.05, 0.03, 0.015, 0.015), 0.09
"""Of the classes; and the standard deviation of their points, in that of the noise."""
Weights = tuple[np.ndarray, np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Weights]


def synthetic(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (N, C) and class numbers (N,), every class in each fold."""
    generator = np.random.default_rng(0)
    labels = np.arange(images) // FOLDS % len(SHARES)
    rest = slice(len(SHARES) * FOLDS, None)
    labels[rest] = generator.choice(len(SHARES), len(labels[rest]), p=SHARES)
    points = generator.normal(0, APART, (len(SHARES), CHANNELS))
    return (points[labels] + generator.normal(size=(images, CHANNELS))).astype(np.float32), labels


class Probe:
    """selcn's training on stored features; counts its epochs."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, epochs: int) -> None:
        keys = {"labels": "ham10000", "backbone": BACKBONE, "freeze": True, "weights": "imagenet"}
        recipe = {"optimiser": "lbfgs", "epochs": epochs, "augment": {"flip": False}}
        section = ClassificationSection.model_validate({**keys, **recipe})
        # The features are given, so that no weights of the backbone are fetched.
        self.task = FrozenTask("probe", section.model_copy(update={"weights": None}))
        nothing = np.empty((len(labels), 0, 0, 3), np.uint8)
        store = Store(nothing, nothing[..., 0], np.zeros(len(labels), bool), [], hair=False, catalog="")
        self.sources = Sources(store, labels=labels, views=features[:, None, :, None, None])
        self.epochs: list[int] = []

    def __call__(self, train: np.ndarray, held: np.ndarray) -> Weights:
        """Weights (classes, C) and biases (classes,)."""
        with tempfile.TemporaryDirectory() as out:
            self.epochs.append(fit(self.task, self.sources, train, held, Path(out), seed=0)["epochs"])
            weights = load_file(Path(out) / "network.safetensors")
        return weights["head.linear.weight"].numpy(), weights["head.linear.bias"].numpy()


def layer_passes(features: torch.Tensor, labels: torch.Tensor, passes: int) -> None:
    """Forward and backward passes of a linear layer over all images."""
    layer = torch.nn.Linear(features.shape[1], len(SHARES))
    for _ in range(passes):
        F.cross_entropy(layer(features), labels).backward()  # type: ignore[no-untyped-call]


def accuracies(features: np.ndarray, labels: np.ndarray, work: Fit, scores: list[float]) -> None:
    """Train without each fold, and add the accuracy over all held-out images."""
    fold, right = np.arange(len(labels)) % FOLDS, 0
    for number in range(FOLDS):
        train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        weights, biases = work(train, held)
        right += int((np.argmax(features[held] @ weights.T + biases, axis=1) == labels[held]).sum())
    scores.append(right / len(labels))


def measure(images: int = IMAGES, epochs: int = 60, repeats: int = REPEATS) -> dict[str, float]:
    """Seconds of both, their ratio, and their accuracies."""
    features, labels = synthetic(images)
    probe, scores = Probe(features, labels, epochs), {"ours": list[float](), "theirs": list[float]()}

    def regression(train: np.ndarray, held: np.ndarray) -> Weights:
        del held
        found = LogisticRegression(max_iter=1_000).fit(features[train], labels[train])
        return found.coef_, found.intercept_

    works: dict[str, Fit] = {"ours": probe, "theirs": regression}

    def timed(name: str) -> float:
        return seconds(lambda: accuracies(features, labels, works[name], scores[name]))

    taken = alternated({name: partial(timed, name) for name in works}, repeats)
    ours, theirs = (statistics.median(taken[name]) for name in works)
    iterations, train = sum(probe.epochs) // repeats, images * (FOLDS - 1) // FOLDS
    tensors = torch.from_numpy(features[:train]), torch.from_numpy(labels[:train])
    alone = statistics.median(seconds(lambda: layer_passes(*tensors, iterations)) for _ in range(repeats))
    return {
        "selcn, seconds": ours,
        "scikit-learn, seconds": theirs,
        "passes of the linear layer alone, seconds": alone,
        "iterations of all folds": iterations,
        "selcn, accuracy": scores["ours"][0],
        "scikit-learn, accuracy": scores["theirs"][0],
        "probe to the passes of its layer alone": ours / alone,
        "ratio": theirs / ours,
    }


if __name__ == "__main__":
    print(measure())
