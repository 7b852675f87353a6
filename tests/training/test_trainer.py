from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from selcn.config import AugmentSection, ClassificationSection
from selcn.data.datasets import Batch, Sources
from selcn.data.imaging import masking
from selcn.data.store.build import build_store
from selcn.errors import DivergedError, RunError
from selcn.labels import SYMMETRY
from selcn.labels.metadata import WIDTH
from selcn.tasks.classification import ClassificationTask
from selcn.training.compute import Compute
from selcn.training.module import augment
from selcn.training.precision import _seconds
from selcn.training.trainer import WEIGHTS, fit

TRAIN, VALIDATION = np.arange(28), np.arange(28, 40)


class Subject(NamedTuple):
    """A task, and the arrays it is trained on."""

    task: ClassificationTask
    sources: Sources

    def fit(self, out: Path, seed: int = 0, train: np.ndarray = TRAIN, **more: Any) -> dict[str, Any]:
        return fit(self.task, self.sources, train, VALIDATION, out, seed=seed, **more)

    def changed(self, **keys: object) -> "Subject":
        section = self.task.section.model_copy(update=keys)
        return self._replace(task=replace(self.task, section=section))


@pytest.fixture(scope="module")
def subject(phantom: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    store = build_store(phantom, tmp_path_factory.mktemp("engine") / "store", size=(64, 48), hair=False)
    section = ClassificationSection(
        labels="symmetry",
        masking="lae",
        backbone="squeezenet1_1",
        head="squeezenet",
        dropout=0.5,
        epochs=3,
        batch=8,
        lr=1e-3,
        schedule="one-cycle",
    )
    labels = np.array(SYMMETRY.numbers(phantom["symmetry"]))
    return Subject(ClassificationTask("symmetry", section), Sources(store, store.masks, (), labels))


def trained(subject: Subject, out: Path, seed: int = 0) -> dict[str, Tensor]:
    subject.fit(out, seed)
    return load_file(out / WEIGHTS)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class KilledError(Exception):
    pass


def test_same_seed_same_weights_and_a_killed_run_ends_where_an_unbroken_one_does(
    subject: Subject, tmp_path: Path
) -> None:
    unbroken = trained(subject, tmp_path / "a")
    assert same(unbroken, trained(subject, tmp_path / "b"))
    assert not same(unbroken, trained(subject, tmp_path / "c", seed=1))

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        subject.fit(tmp_path / "d", on_epoch=kill)
    epochs: list[int] = []
    subject.fit(tmp_path / "d", on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs[0] > 1, "finished epochs are not repeated"
    assert same(unbroken, load_file(tmp_path / "d" / WEIGHTS))
    log, unbroken_log = (pd.read_csv(tmp_path / run / "metrics.csv") for run in ("d", "a"))
    assert log["val_loss"].dropna().tolist() == unbroken_log["val_loss"].dropna().tolist()


def test_the_best_epochs_weights_are_kept_and_the_logs_tell_each_epoch(subject: Subject, tmp_path: Path) -> None:
    result = subject.fit(tmp_path)
    log = pd.read_csv(tmp_path / "metrics.csv")
    losses = log["val_loss"].dropna()
    assert len(losses) == result["epochs"] == 3
    assert result["best"] == pytest.approx(losses.min(), abs=1e-6)
    assert log["train_loss"].notna().sum() == 3
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert not (tmp_path / "checkpoints").exists()


def test_training_stops_when_the_monitored_value_no_longer_improves(subject: Subject, tmp_path: Path) -> None:
    short = subject.changed(epochs=20, patience=2, lr=1e-12, schedule="constant", monitor="score")
    assert short.fit(tmp_path)["epochs"] == 3


def test_averaging_mixing_clipping_and_accumulation_go_on_after_a_kill_as_if_unbroken(
    subject: Subject, tmp_path: Path
) -> None:
    rich = subject.changed(
        batch=4,
        accumulate=2,
        clip=0.5,
        ema=0.9,
        mix="cutmix",
        label_smoothing=0.1,
        optimiser="adamw",
        schedule="cosine",
        warmup=0.2,
        metadata=("age", "site"),
        metadata_dropout=0.5,
    )
    numbers = np.random.default_rng(0).random((40, WIDTH), dtype=np.float32)
    rich = rich._replace(sources=replace(rich.sources, metadata=numbers))
    unbroken = trained(rich, tmp_path / "a")
    assert not same(unbroken, trained(rich.changed(ema=0), tmp_path / "b"))
    assert unbroken["metadata.last.weight"].abs().max() > 0

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        rich.fit(tmp_path / "c", on_epoch=kill)
    assert same(unbroken, trained(rich, tmp_path / "c"))


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.8, "bfloat16"), (0.95, "float32")])
def test_one_cpu_trains_in_the_faster_precision_and_measuring_changes_nothing(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: float, chosen: str
) -> None:
    measured = []

    def seconds(*one: Any, **how: Any) -> float:
        measured.append(_seconds(*one, **how))
        return bfloat16 if how["bfloat16"] else 1.0

    monkeypatch.setattr("selcn.training.precision._seconds", seconds)
    short, cpu = subject.changed(epochs=1), Compute(accelerator="cpu")
    result = short.changed(precision="auto").fit(tmp_path / "auto", compute=cpu)
    assert result == short.changed(precision=chosen).fit(tmp_path / "chosen", compute=cpu)
    ours, theirs = (load_file(tmp_path / name / WEIGHTS) for name in ("auto", "chosen"))
    assert all(torch.equal(one, theirs[name]) for name, one in ours.items())
    assert len(measured) == 2
    assert all(0 < one < 60 for one in measured)
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    (tmp_path / "resumed" / "checkpoints" / "precision").write_text("bfloat16")
    again = short.changed(precision="auto").fit(tmp_path / "resumed", compute=cpu)
    assert (again["precision"], len(measured)) == ("bf16-mixed", 2)


def test_a_loss_that_is_no_number_ends_training_with_the_last_good_checkpoint(subject: Subject, tmp_path: Path) -> None:
    bad = subject.changed(lr=1e30, epochs=9, schedule="constant", monitor="score")
    with pytest.raises(DivergedError, match=r"is NaN or infinite in epoch \d\); the checkpoint of the epoch before"):
        bad.fit(tmp_path / "first")
    checkpoints = tmp_path / "first" / "checkpoints"
    for path in checkpoints.glob("*.ckpt"):
        weights = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()), path


def test_the_validation_loss_does_not_depend_on_how_images_fall_into_batches(subject: Subject, tmp_path: Path) -> None:
    short = subject.changed(epochs=1, lr=1e-12)
    weighted = short._replace(task=replace(short.task, weight=torch.tensor([1.0, 5.0, 0.2])))
    losses = []
    for batch in (4, 7):
        weighted.changed(batch=batch).fit(tmp_path / str(batch))
        losses.append(float(pd.read_csv(tmp_path / str(batch) / "metrics.csv")["val_loss"].iloc[0]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


STILL = AugmentSection(rotation=0, zoom=0, shift=0, flip=False, colour=0)


def test_a_masking_of_a_stranger_decides_what_a_network_is_trained_on(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that are masked in training, or were before it, give the same losses."""
    monkeypatch.setattr(masking, "_MASKINGS", masking.maskings())
    calls: list[int] = []

    def left_half(masks: np.ndarray) -> np.ndarray:
        calls.append(len(masks))
        region = masks.copy()
        region[:, :, masks.shape[2] // 2 :] = False
        return region

    masking.register_masking(masking.Masking("left-half", "the left half of the lesion", left_half))
    masked = subject.changed(epochs=1, lr=1e-12, augment=STILL, masking="left-half")
    store, masks = masked.sources.store, masked.sources.masks
    assert masks is not None
    assert masks.any(axis=(1, 2)).all()
    masked.fit(tmp_path / "masked")
    assert sum(calls) == 3 * 8 + len(VALIDATION), "three whole batches, and the validation fold"

    seen = np.asarray(store.images) * left_half(masks > 0)[..., None]
    shown = {"before": replace(store, images=seen.astype(np.uint8)), "never": store}
    for name, images in shown.items():
        plain = masked.changed(masking="none")
        plain._replace(sources=Sources(images, labels=masked.sources.labels)).fit(tmp_path / name)
    losses = {name: pd.read_csv(tmp_path / name / "metrics.csv").iloc[0] for name in ("masked", *shown)}
    for loss in ("train_loss", "val_loss"):
        assert losses["masked"][loss] == pytest.approx(losses["before"][loss], rel=1e-5)
        assert losses["masked"][loss] != pytest.approx(losses["never"][loss], rel=1e-3)


def test_a_batch_larger_than_the_fold_is_refused(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="5 training images for batches of 8; lower batch"):
        subject.fit(tmp_path, train=TRAIN[:5])


def test_image_mask_and_saliency_are_augmented_alike_and_only_the_image_in_colour(subject: Subject) -> None:
    def augmented(colour: float) -> Batch:
        task = subject.changed(augment=AugmentSection(colour=colour)).task
        return augment(batch, task, torch.Generator().manual_seed(0))

    image = torch.randint(0, 255, (4, 1, 48, 64), dtype=torch.uint8)
    mask = (image > 127).to(torch.uint8)
    maps = (image.float() / 255, 1 - image.float() / 255)
    batch = Batch(image.expand(-1, 3, -1, -1), mask, maps, torch.zeros(4, dtype=torch.int64))
    coloured, still = augmented(0.3), augmented(0)
    assert torch.equal(coloured.mask, (coloured.mask > 0.5).float())
    assert torch.allclose(still.image[:, :1], still.saliency[0], atol=1e-5)
    assert torch.equal(still.mask, coloured.mask)
    assert torch.equal(still.saliency[1], coloured.saliency[1])
    assert not torch.allclose(still.image, coloured.image, atol=0.01)
    plain = augment(Batch(batch.image), subject.task, torch.Generator().manual_seed(0))
    with_mask = augment(batch, subject.task, torch.Generator().manual_seed(0))
    assert torch.equal(plain.image, with_mask.image), "what else a task needs does not change its images"


def test_a_frozen_body_keeps_weights_and_statistics_until_its_epochs_are_over(subject: Subject, tmp_path: Path) -> None:
    frozen = subject.changed(
        backbone="test_resnet", head="linear", epochs=2, freeze_epochs=2, optimiser="adamw", weight_decay=0.1
    )
    lightning.seed_everything(0, verbose=False)
    start = frozen.task.build().state_dict()
    after = trained(frozen, tmp_path / "frozen")
    body = [name for name in start if name.startswith("backbone.body.")]
    assert any("running_mean" in name for name in body)
    assert all(torch.equal(start[name], after[name]) for name in body)
    assert not torch.equal(start["head.linear.weight"], after["head.linear.weight"])

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        frozen.changed(epochs=3, freeze_epochs=1).fit(tmp_path / "thawed", on_epoch=kill)
    # The checkpoint is that of the epoch before: the first that trains all.
    thawed = torch.load(tmp_path / "thawed" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any(torch.equal(start[name], thawed[f"network.{name}"]) for name in body if "weight" in name)
    assert not any(torch.equal(start[name], thawed[f"network.{name}"]) for name in body if "running" in name)


def test_a_frozen_warm_up_with_layer_wise_rates_goes_on_after_a_kill_as_if_unbroken(
    subject: Subject, tmp_path: Path
) -> None:
    rich = subject.changed(
        backbone="test_resnet", head="linear", epochs=3, freeze_epochs=2, layer_decay=0.5, ema=0.5, clip=1.0
    )
    unbroken = trained(rich, tmp_path / "a")

    for number, at in enumerate((1, 2)):

        def kill(epoch: int, _: Mapping[str, float], at: int = at) -> None:
            if epoch == at:
                raise KilledError

        folder = tmp_path / f"killed-{number}"
        with pytest.raises(KilledError):
            rich.fit(folder, on_epoch=kill)
        assert same(unbroken, trained(rich, folder))
