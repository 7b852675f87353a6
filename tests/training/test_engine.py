from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from selcn.config import AugmentSection, SymmetrySection
from selcn.data.datasets import Batch
from selcn.data.store.build import build_store
from selcn.errors import DivergedError, RunError
from selcn.labels import Masking, Symmetry
from selcn.tasks.stages import SymmetryStage, class_numbers
from selcn.training.module import augment
from selcn.training.trainer import WEIGHTS, fit

TRAIN, VALIDATION = np.arange(28), np.arange(28, 40)


@pytest.fixture(scope="module")
def stage(phantom: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> SymmetryStage:
    store = build_store(phantom, tmp_path_factory.mktemp("engine") / "store", size=(64, 48), hair=False)
    section = SymmetrySection(backbone="squeezenet1_1", classes=3, epochs=3, batch=8, lr=1e-3, schedule="one-cycle")
    labels = class_numbers(list(phantom["symmetry"]), Symmetry.names())
    return SymmetryStage(section, store, store.masks, labels, Masking.LAE)


def trained(stage: SymmetryStage, out: Path, seed: int = 0) -> dict[str, Tensor]:
    fit(stage, TRAIN, VALIDATION, out, seed=seed)
    return load_file(out / WEIGHTS)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class KilledError(Exception):
    pass


def test_same_seed_same_weights_and_a_killed_run_ends_where_an_unbroken_one_does(
    stage: SymmetryStage, tmp_path: Path
) -> None:
    unbroken = trained(stage, tmp_path / "a")
    assert same(unbroken, trained(stage, tmp_path / "b"))
    assert not same(unbroken, trained(stage, tmp_path / "c", seed=1))

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fit(stage, TRAIN, VALIDATION, tmp_path / "d", seed=0, on_epoch=kill)
    epochs: list[int] = []
    fit(stage, TRAIN, VALIDATION, tmp_path / "d", seed=0, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs[0] > 1, "finished epochs are not repeated"
    assert same(unbroken, load_file(tmp_path / "d" / WEIGHTS))
    log, unbroken_log = (pd.read_csv(tmp_path / run / "metrics.csv") for run in ("d", "a"))
    assert log["val_loss"].dropna().tolist() == unbroken_log["val_loss"].dropna().tolist()


def test_the_best_epochs_weights_are_kept_and_the_logs_tell_each_epoch(stage: SymmetryStage, tmp_path: Path) -> None:
    result = fit(stage, TRAIN, VALIDATION, tmp_path, seed=0)
    log = pd.read_csv(tmp_path / "metrics.csv")
    losses = log["val_loss"].dropna()
    assert len(losses) == result["epochs"] == 3
    assert result["best"] == pytest.approx(losses.min(), abs=1e-6)
    assert log["train_loss"].notna().sum() == 3
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert not (tmp_path / "checkpoints").exists()


def test_training_stops_when_the_monitored_value_no_longer_improves(stage: SymmetryStage, tmp_path: Path) -> None:
    section = stage.section.model_copy(update={"epochs": 20, "patience": 2, "lr": 1e-12, "schedule": "constant"})
    section = section.model_copy(update={"monitor": "score"})
    assert fit(replace(stage, section=section), TRAIN, VALIDATION, tmp_path, seed=0)["epochs"] == 3


def changed(stage: SymmetryStage, **keys: object) -> SymmetryStage:
    return replace(stage, section=stage.section.model_copy(update=keys))


def test_averaging_mixing_clipping_and_accumulation_go_on_after_a_kill_as_if_unbroken(
    stage: SymmetryStage, tmp_path: Path
) -> None:
    rich = changed(
        stage,
        batch=4,
        accumulate=2,
        clip=0.5,
        ema=0.9,
        mix="cutmix",
        label_smoothing=0.1,
        optimiser="adamw",
        schedule="cosine",
        warmup=0.2,
    )
    unbroken = trained(rich, tmp_path / "a")
    assert not same(unbroken, trained(changed(rich, ema=0), tmp_path / "b"))

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fit(rich, TRAIN, VALIDATION, tmp_path / "c", seed=0, on_epoch=kill)
    assert same(unbroken, trained(rich, tmp_path / "c"))


def test_a_loss_that_is_no_number_ends_training_with_the_last_good_checkpoint(
    stage: SymmetryStage, tmp_path: Path
) -> None:
    bad = changed(stage, lr=1e30, epochs=9, schedule="constant", monitor="score")
    with pytest.raises(DivergedError, match=r"is no number in epoch \d\); the checkpoint of the epoch before is kept"):
        fit(bad, TRAIN, VALIDATION, tmp_path / "first", seed=0)
    checkpoints = tmp_path / "first" / "checkpoints"
    for path in checkpoints.glob("*.ckpt"):
        weights = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()), path


def test_the_validation_loss_does_not_depend_on_how_images_fall_into_batches(
    stage: SymmetryStage, tmp_path: Path
) -> None:
    weighted = replace(changed(stage, epochs=1, lr=1e-12), weight=torch.tensor([1.0, 5.0, 0.2]))
    losses = []
    for batch in (4, 7):
        fit(changed(weighted, batch=batch), TRAIN, VALIDATION, tmp_path / str(batch), seed=0)
        losses.append(float(pd.read_csv(tmp_path / str(batch) / "metrics.csv")["val_loss"].iloc[0]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_batch_larger_than_the_fold_is_refused(stage: SymmetryStage, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="5 training images for batches of 8; lower batch"):
        fit(stage, TRAIN[:5], VALIDATION, tmp_path, seed=0)


def test_image_mask_and_saliency_are_augmented_alike_and_only_the_image_in_colour(stage: SymmetryStage) -> None:
    section = stage.section.model_copy(update={"augment": AugmentSection(colour=0.3)})
    image = torch.randint(0, 255, (4, 1, 48, 64), dtype=torch.uint8)
    mask = (image > 127).to(torch.uint8)
    batch = Batch(image.expand(-1, 3, -1, -1), mask, image.float() / 255, torch.zeros(4, dtype=torch.int64))
    changed = augment(batch, replace(stage, section=section), torch.Generator().manual_seed(0))
    assert torch.equal(changed.mask, (changed.mask > 0.5).float())
    still = augment(
        batch,
        replace(stage, section=section.model_copy(update={"augment": AugmentSection(colour=0)})),
        torch.Generator().manual_seed(0),
    )
    assert torch.allclose(still.image[:, :1], still.saliency, atol=1e-5)
    assert torch.equal(still.mask, changed.mask)
    assert torch.equal(still.saliency, changed.saliency)
    assert not torch.allclose(still.image, changed.image, atol=0.01)
