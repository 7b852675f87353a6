"""A bundle and some pictures."""

from pathlib import Path

import pytest

import selcn
from selcn.inference.predictor import Predictor


@pytest.fixture(scope="session")
def predictor(tiny_run: Path) -> Predictor:
    """A bundle."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture(scope="session")
def pictures(tiny_run: Path) -> list[Path]:
    """Some of the run's."""
    return sorted((tiny_run / "data" / "phantom" / "images").iterdir())[:6]
