"""Bundles to serve, and some images."""

from pathlib import Path

import pytest
import torch

import selcn
from selcn.config import ClassifierSpec
from selcn.inference.assembly import build_cascade, write_bundle
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.predictor import Predictor
from selcn.models.ensemble import Ensemble


@pytest.fixture(scope="session")
def predictor(tiny_run: Path) -> Predictor:
    """The usual bundle: lesion, symmetry, diagnosis."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture(scope="session")
def own_predictor(own_bundle: Path) -> Predictor:
    """The bundle of `own_bundle`."""
    return selcn.load(own_bundle)


@pytest.fixture(scope="session")
def own_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without a segmenter, of networks and classes with names of their own; its weights are random."""
    torch.manual_seed(3)
    backbone = {"backbone": "resnet10t", "size": (32, 32)}
    networks = {
        "schema": ClassifierSpec(labels=["none", "some <b>streaks</b>", "many"], **backbone),
        "blue-veil": ClassifierSpec(labels=["absent", "present"], reads={"schema": "concat"}, **backbone),
    }
    config = BundleConfig(
        selcn="0",
        name="own",
        prepare=Preparation(size=(64, 48), hair=False),
        networks=networks,
        target="blue-veil",
        members=1,
        split="",
    )
    folder = tmp_path_factory.mktemp("own")
    write_bundle(folder, config, Ensemble([build_cascade(networks)]))
    return folder


@pytest.fixture(scope="session")
def pictures(tiny_run: Path) -> list[Path]:
    """Some of the run's."""
    return sorted((tiny_run / "data" / "phantom" / "images").iterdir())[:6]
