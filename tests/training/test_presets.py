from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from selcn.config import ClassificationSection, RunConfig, SegmentationSection, describe_presets, load_config, presets
from selcn.data.datasets import Sources
from selcn.data.store.build import build_store
from selcn.data.store.store import Store
from selcn.tasks.classification import ClassificationTask
from selcn.tasks.segmentation import SegmentationTask
from selcn.training.trainer import WEIGHTS, fit

TINY = ["weights=null", "batch=4", "epochs=1", "size=[64, 64]"]
TRAIN, VALIDATION = np.arange(8), np.arange(8, 12)
NETWORKS = ("lesion", "symmetry", "diagnosis")


@pytest.fixture(scope="module")
def store(phantom: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_store(phantom, tmp_path_factory.mktemp("presets") / "store", size=(64, 64), hair=False)


def tiny(name: str) -> RunConfig:
    keys = [f"{network}.{key}" for network in NETWORKS for key in TINY]
    return load_config(Path(name), [*keys, "symmetry.by_masking={}", "diagnosis.by_fusion={}"])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", presets())
def test_every_network_of_every_preset_trains(
    name: str, network: str, phantom: pd.DataFrame, store: Store, tmp_path: Path
) -> None:
    section = tiny(name).graph.nodes[network].section
    if not isinstance(section, ClassificationSection):
        fit(SegmentationTask(network, section), Sources(store, store.masks), TRAIN, VALIDATION, tmp_path, seed=0)
    else:
        labels = np.array(section.labels.numbers(phantom[section.labels.column]))
        saliency = tuple(torch.rand(len(phantom), 3, 3).numpy() for _ in section.reads)
        sources = Sources(store, store.masks, saliency, labels)
        fit(ClassificationTask(network, section), sources, TRAIN, VALIDATION, tmp_path, seed=0)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(tmp_path / WEIGHTS).values())


def test_the_thesis_preset_has_the_hyperparameters_that_were_found() -> None:
    config = load_config(Path("thesis"))
    symmetry = config.networks["symmetry"]
    assert isinstance(symmetry, ClassificationSection)
    by_masking = [symmetry.model_copy(update={"masking": one}).resolved for one in ("none", "segmentation", "lae")]
    assert [(one.lr, one.weight_decay, one.batch, one.weighted) for one in by_masking] == [
        (7.29e-5, 3.55e-4, 8, False),
        (2.32e-5, 9.62e-4, 32, True),
        (3.34e-5, 9.67e-4, 8, True),
    ]
    reading, standalone = (config.graph.classifiers[name] for name in ("diagnosis", "diagnosis-standalone"))
    assert (standalone.lr, standalone.weight_decay, standalone.batch, standalone.weighted) == (1e-5, 5e-4, 16, True)
    assert (reading.lr, reading.weight_decay, reading.batch, reading.weighted) == (1.2e-4, 1.08e-4, 32, False)
    assert (standalone.patience, reading.patience) == (10, 25)
    assert (standalone.dropout, reading.dropout, symmetry.dropout) == (0.4, 0, 0.5)
    assert reading.backbone == "torchvision/efficientnet_b4"
    lesion = config.networks["lesion"]
    assert isinstance(lesion, SegmentationSection)
    assert (lesion.architecture, lesion.weight_decay) == ("thesis-deeplabv3plus", 0)
    assert {tuple(one.augment.model_dump().values()) for one in config.networks.values()} == {(0, 0, 0, False, 0)}
    assert (config.prepare.hair, *config.evaluation.model_dump().values()) == ("thesis", "n", "alphabetical", "thesis")
    for other in ("demo", "light", "strong"):
        usual = load_config(Path(other))
        assert usual.prepare.hair != "thesis"
        assert list(usual.evaluation.model_dump().values()) == ["n-1", "probability", "centred"]


def test_every_preset_says_what_it_is_for() -> None:
    assert all(len(what) > 20 for what in describe_presets().values())
    assert set(describe_presets()) == {"demo", "light", "strong", "thesis"}
