"""Linear probes by L-BFGS, beside scikit-learn's logistic regression of the same penalised loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss

from selcn.config import ClassificationSection, SegmentationSection
from selcn.data.datasets import Sources
from selcn.data.store.store import Store
from selcn.errors import DivergedError, RunError
from selcn.tasks.classification import class_weights
from selcn.tasks.frozen import FrozenTask
from selcn.training import probe as probe_module
from selcn.training.probe import _Examples, fit_probe
from selcn.training.trainer import fit

BACKBONE, CHANNELS, CLASSES = "test_resnet", 96, ["a", "b", "c"]
IMAGES, HELD, DECAY = 240, 60, 0.02
KEYS = {"labels": CLASSES, "backbone": BACKBONE, "freeze": True, "weights": "imagenet", "optimiser": "lbfgs"}


def section_of(**keys: Any) -> ClassificationSection:
    """A linear probe that runs to the optimum, unless told otherwise; its weights are not fetched."""
    keys = {"epochs": 500, "patience": 500, "weight_decay": DECAY, **keys}
    return ClassificationSection.model_validate({**KEYS, **keys}).model_copy(update={"weights": None})


def examples(views: int = 1, places: tuple[int, int] = (1, 1)) -> Sources:
    """Features of three classes, of which one is rare, at scales and places far apart."""
    generator = np.random.default_rng(5)
    labels = generator.choice(3, IMAGES, p=[0.6, 0.3, 0.1])
    points = generator.normal(0, 0.2, (3, CHANNELS))
    features = points[labels][:, None, :, None, None] + generator.normal(size=(IMAGES, views, CHANNELS, *places))
    features = features * np.geomspace(0.01, 10, CHANNELS)[:, None, None] + 3
    images = np.empty((IMAGES, 0, 0, 3), np.uint8)
    store = Store(images, images[..., 0], np.zeros(IMAGES, bool), [], hair=False, catalog="")
    return Sources(store, labels=labels.astype(np.int64), views=features.astype(np.float32))


TRAIN, VALIDATION = np.arange(HELD, IMAGES), np.arange(HELD)


def least(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The lowest penalised loss: scikit-learn's solution for standardised features, and its loss counted in NumPy.

    The function is convex, so that whoever reaches this value has the solution.
    """
    standard = (features - features.mean(0)) / features.std(0)
    # scikit-learn adds half the squares to C times the sum of losses.
    oracle = LogisticRegression(C=1 / (DECAY * weights.sum()), tol=1e-8, max_iter=5000)
    oracle.fit(standard, labels, sample_weight=weights)
    probabilities = oracle.predict_proba(standard)
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    return float((weights * losses).sum() / weights.sum() + DECAY / 2 * np.square(oracle.coef_).sum())


def logits(weights: dict[str, torch.Tensor], features: np.ndarray) -> np.ndarray:
    """(n, classes), less their mean over classes, on which no probability depends."""
    found = features @ weights["head.linear.weight"].numpy().T + weights["head.linear.bias"].numpy()
    return np.asarray(found - found.mean(1, keepdims=True))


@pytest.mark.parametrize("kind", ["plain", "weighted", "adjusted"])
def test_the_solution_is_that_of_scikit_learn(kind: str) -> None:
    sources = examples()
    assert sources.views is not None
    assert sources.labels is not None
    labels = sources.labels[TRAIN]
    weight, shares = class_weights(labels, CLASSES), np.bincount(labels) / len(TRAIN)
    task, weights = {
        "plain": (FrozenTask("probe", section_of()), np.ones(len(TRAIN))),
        "weighted": (FrozenTask("probe", section_of(), weight=weight), weight.double().numpy()[labels]),
        # Biases have no penalty, and so take up what is added to the logits: the least loss is the same.
        "adjusted": (FrozenTask("probe", section_of(), prior=torch.from_numpy(shares).float()), np.ones(len(TRAIN))),
    }[kind]
    probe = fit_probe(task, sources, TRAIN, VALIDATION)
    expected = least(sources.views[TRAIN, 0, :, 0, 0], labels, weights)
    assert probe.epochs[-1]["train_loss"] == pytest.approx(expected, abs=1e-4)
    assert probe.epochs[0]["train_loss"] > expected + 0.1


@pytest.mark.parametrize("kept", [2**30, 0])
def test_each_view_is_an_example_whether_parts_are_kept_or_read_anew(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "KEPT", kept)
    monkeypatch.setattr(probe_module, "IMAGES", 50)
    sources = examples(views=4, places=(2, 3))
    assert sources.views is not None
    assert sources.labels is not None
    pooled = sources.views.mean((3, 4))[TRAIN].reshape(-1, CHANNELS)
    expected = least(pooled, np.repeat(sources.labels[TRAIN], 4), np.ones(len(pooled)))
    probe = fit_probe(FrozenTask("probe", section_of()), sources, TRAIN, VALIDATION)
    assert probe.epochs[-1]["train_loss"] == pytest.approx(expected, abs=1e-4)


def test_the_best_iteration_is_kept_and_written_as_a_training_is(tmp_path: Path) -> None:
    sources, seen = examples(), list[int]()
    assert sources.views is not None
    assert sources.labels is not None
    task = FrozenTask("probe", section_of(patience=3, weight_decay=0))
    result = fit(task, sources, TRAIN, VALIDATION, tmp_path, seed=0, on_epoch=lambda epoch, _: seen.append(epoch))
    table = pd.read_csv(tmp_path / "metrics.csv", index_col="epoch")
    assert seen == [*range(1, len(table) + 1)]
    assert result == {
        "monitor": "val_loss",
        "best": min(table["val_loss"]),
        "epochs": len(table),
        "precision": "32-true",
    }
    losses = table["val_loss"].to_numpy()
    assert len(losses) - 1 - losses.argmin() == 3, "three iterations without improvement end it"
    found = logits(load_file(tmp_path / "network.safetensors"), sources.views[VALIDATION, 0, :, 0, 0])
    shares = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    best = table.iloc[losses.argmin()]
    assert best["val_loss"] == pytest.approx(log_loss(sources.labels[VALIDATION], shares), abs=1e-4)
    score = balanced_accuracy_score(sources.labels[VALIDATION], found.argmax(1))
    assert best["val_balanced_accuracy"] == pytest.approx(score, abs=1e-6)
    assert (tmp_path / "tensorboard").is_dir()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15), st.floats(-1e4, 1e4), st.integers(0, 99))
def test_moments_do_not_depend_on_the_parts(images: int, part: int, shift: float, seed: int) -> None:
    features = np.random.default_rng(seed).normal(shift, 1, (images, 1, 4, 1, 1)).astype(np.float32)
    features[:, :, 0] = shift  # a feature that is always the same
    sources = Sources(examples().store, labels=np.zeros(images, np.int64), views=features)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_module, "IMAGES", part)
        mean, deviation = _Examples(sources, np.arange(images), all_views=True).moments()
    exact = features[:, 0, :, 0, 0].astype(np.float64)
    assert mean.numpy() == pytest.approx(exact.mean(0), rel=1e-5, abs=1e-5)
    spread = exact.std(0)
    assert deviation.numpy()[1:] == pytest.approx(np.where(spread[1:] == 0, 1, spread[1:]), rel=0.02, abs=0.003)


def test_features_that_are_no_numbers_are_named() -> None:
    sources = examples()
    assert sources.views is not None
    sources.views[70, 0, 3] = np.nan
    with pytest.raises(DivergedError, match="network probe: its backbone's features are NaN or infinite"):
        fit_probe(FrozenTask("probe", section_of()), sources, TRAIN, VALIDATION)


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_a_subset_without_labels_is_named(subset: str) -> None:
    sources = examples()
    assert sources.labels is not None
    sources.labels[TRAIN if subset == "training" else VALIDATION] = -1
    with pytest.raises(RunError, match=f"network probe: no {subset} image has a label"):
        fit_probe(FrozenTask("probe", section_of()), sources, TRAIN, VALIDATION)


def test_what_does_not_go_with_it_is_refused_and_dropout_left_out() -> None:
    section = ClassificationSection.model_validate(KEYS)
    assert section.dropout == 0
    assert ClassificationSection.model_validate(section.model_dump(mode="json")) == section
    for more, said in (
        ({"dropout": 0.2, "clip": 1.0}, "remove dropout, clip"),
        ({"schedule": "poly", "precision": "auto"}, "remove schedule, precision"),
        ({"metadata": ["age"]}, "remove metadata"),
        ({"by_masking": {"none": {"dropout": 0.1}}}, "remove by_masking"),
        ({"reads": {"symmetry": "concat"}}, "goes with freeze, a linear head and no reads"),
        ({"freeze": False}, "goes with freeze, a linear head and no reads"),
    ):
        with pytest.raises(ValidationError, match=said):
            ClassificationSection.model_validate({**KEYS, **more})
    with pytest.raises(ValidationError, match="take adam or adamw"):
        SegmentationSection.model_validate({"task": "segmentation", "optimiser": "lbfgs"})
