from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from selcn.config import RunConfig, describe_presets, load_config, presets
from selcn.data.store.build import build_store
from selcn.data.store.store import Store
from selcn.labels import BinarySymmetry, Diagnosis, Fusion, Masking
from selcn.runs.predictions import symmetry_names
from selcn.tasks.stages import ClassificationStage, SegmentationStage, Stage, SymmetryStage, class_numbers
from selcn.training.trainer import WEIGHTS, fit

TINY = ["weights=null", "batch=4", "epochs=1", "size=[64, 64]"]
TRAIN, VALIDATION = np.arange(8), np.arange(8, 12)


@pytest.fixture(scope="module")
def store(phantom: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_store(phantom, tmp_path_factory.mktemp("presets") / "store", size=(64, 64), hair=False)


def tiny(name: str) -> RunConfig:
    keys = [f"{stage}.{key}" for stage in ("segmentation", "symmetry", "classification") for key in TINY]
    return load_config(Path(name), [*keys, "symmetry.by_mask={}", "classification.by_fusion={}"])


def stages(config: RunConfig, table: pd.DataFrame, store: Store) -> list[Stage]:
    variant = next(v for v in config.classification.variants if v.fusion is Fusion.CONCAT)
    symmetry = class_numbers(list(symmetry_names(table["symmetry"], BinarySymmetry.names())), BinarySymmetry.names())
    diagnosis = class_numbers(list(table["diagnosis"]), Diagnosis.names())
    saliency = torch.rand(len(table), 3, 3).numpy()
    return [
        SegmentationStage(config.segmentation, store),
        SymmetryStage(config.symmetry, store, store.masks, symmetry, Masking.LAE),
        ClassificationStage(config.classification, store, store.masks, saliency, diagnosis, variant),
    ]


@pytest.mark.parametrize("number", range(3), ids=["segmentation", "symmetry", "classification"])
@pytest.mark.parametrize("name", presets())
def test_every_stage_of_every_preset_trains(
    name: str, number: int, phantom: pd.DataFrame, store: Store, tmp_path: Path
) -> None:
    stage = stages(tiny(name), phantom, store)[number]
    fit(stage, TRAIN, VALIDATION, tmp_path, seed=0)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(tmp_path / WEIGHTS).values())


def test_the_thesis_preset_has_the_hyperparameters_that_were_found() -> None:
    config = load_config(Path("thesis"))
    by_mask = {masking: config.symmetry.of(masking) for masking in Masking}
    assert [(one.lr, one.weight_decay, one.batch, one.weighted) for one in by_mask.values()] == [
        (7.29e-5, 3.55e-4, 8, False),
        (2.32e-5, 9.62e-4, 32, True),
        (3.34e-5, 9.67e-4, 8, True),
    ]
    standalone, reading = (config.classification.of(variant) for variant in config.classification.variants)
    assert (standalone.lr, standalone.weight_decay, standalone.batch, standalone.weighted) == (1e-5, 5e-4, 16, True)
    assert (reading.lr, reading.weight_decay, reading.batch, reading.weighted) == (1.2e-4, 1.08e-4, 32, False)
    assert (standalone.patience, reading.patience) == (10, 25)


def test_every_preset_says_what_it_is_for() -> None:
    assert all(len(what) > 20 for what in describe_presets().values())
    assert set(describe_presets()) == {"demo", "light", "strong", "thesis"}
