"""Runs of networks that train in a moment."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from selcn.config import RunConfig
from selcn.runs.pipeline import Pipeline

PLAIN = {"task": "classification", "backbone": "test_resnet", "size": [32, 32], "epochs": 1, "batch": 8, "lr": 1e-2}
LESION = {
    **{key: value for key, value in PLAIN.items() if key != "backbone"},
    "task": "segmentation",
    "architecture": "Unet",
    "encoder": "tu-test_resnet",
}


@pytest.fixture(scope="session")
def small_networks() -> dict[str, dict[str, Any]]:
    """A cascade in which every network needs all earlier ones, and a classifier that needs none."""
    return {
        "lesion": LESION,
        # Large enough for saliency of 3x3 positions; at 32x32 pixels there would be one.
        "symmetry": {**PLAIN, "labels": "symmetry-binary", "masking": "lae", "size": [96, 96]},
        "diagnosis": {**PLAIN, "labels": "ham10000", "masking": "segmentation", "reads": {"symmetry": "concat"}},
        "plain": {**PLAIN, "labels": "ham10000"},
    }


@pytest.fixture
def command(selcn: Callable[..., int]) -> Callable[..., int]:
    """Runs `selcn` with some words and 20 resamples, and gives its exit code."""
    return lambda *words: selcn(*words, "--resamples", "20")


@pytest.fixture(scope="session")
def pipeline_of() -> Callable[..., Pipeline]:
    """Makes a pipeline of some networks on a catalog."""
    return _pipeline_of


def _pipeline_of(catalog: Path, folder: Path, networks: Mapping[str, Mapping[str, Any]], **more: object) -> Pipeline:
    tree = {
        "data": {"source": "catalog", "path": str(catalog)},
        "split": {"folds": 2, "test": 0.25, "duplicates": False},
        "prepare": {"size": [64, 48], "hair": False},
        "networks": networks,
        "resamples": 100,
        **more,
    }
    return Pipeline(RunConfig.model_validate(tree), folder)
