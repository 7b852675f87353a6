"""Each row of the table in docs/architecture.md on how nothing leaks, with three folds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from selcn.data.datasets import Sources, as_floats, gather_images
from selcn.models.backbones import resize_images
from selcn.models.build import build_network
from selcn.models.cascade import Cascade, Pass
from selcn.models.ensemble import Ensemble
from selcn.runs import pipeline as pipeline_module
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
from selcn.tasks.task import Task

FOLDS = 3
CLASSIFIERS = ("symmetry", "diagnosis")
NAMES = ("lesion", *CLASSIFIERS)
EXACT = 1e-6
"""Largest difference of probabilities that are the same."""


@pytest.fixture(scope="module")
def run(
    tiny_run: Path,
    small_networks: dict[str, dict[str, Any]],
    pipeline_of: Callable[..., Pipeline],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A run of three folds up to its prediction files; tests only read it."""
    networks = {name: {**small_networks[name], "batch": 4} for name in NAMES}
    networks["diagnosis"]["reads"] = {"symmetry": "concat", "lesion": "concat"}
    # With this seed all that the diagnosis network reads changes its answers, hardly trained as it is.
    split = {"folds": FOLDS, "test": 0.25, "duplicates": False, "seed": 1}
    folder = tmp_path_factory.mktemp("folds") / "run"
    pipeline = pipeline_of(tiny_run / "data" / "catalog.csv", folder, networks, split=split)
    prepared = pipeline.prepare()
    pipeline.do_all(prepared, [Step(Kind.PREDICTIONS)])
    return prepared


@pytest.fixture(scope="module")
def members(run: Run) -> list[Cascade]:
    """The cascades of the weights that lie in the folder of each fold."""
    specs = {name: run.graph.nodes[name].section.spec for name in NAMES}
    found = []
    for fold in range(FOLDS):
        networks = {name: build_network(spec) for name, spec in specs.items()}
        for name, network in networks.items():
            weights = run.folder.path / "networks" / name / f"fold-{fold}" / "network.safetensors"
            network.load_state_dict(load_file(weights))
        found.append(Cascade(specs, networks).eval())
    return found


def images_of(run: Run, rows: np.ndarray) -> Tensor:
    return as_floats(gather_images(run.store, rows))


def check_masks(lesion: Tensor | None, masks: np.ndarray) -> None:
    assert lesion is not None
    assert ((lesion[:, 0].numpy() > 0.5) == (masks > 0)).mean() > 0.999


def check_answers(run: Run, found: Pass, rows: np.ndarray, name: str) -> None:
    probabilities, saliency = (run.output(name, f"{kind}.npy")[rows] for kind in ("probabilities", "saliency"))
    assert found.outputs[name].logits.softmax(1).numpy() == pytest.approx(probabilities, abs=EXACT)
    assert found.saliency[name][:, 0].numpy() == pytest.approx(saliency, abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("fold", range(FOLDS))
def test_masks_and_answers_of_a_fold_are_of_the_member_that_did_not_see_it(
    run: Run, members: list[Cascade], fold: int
) -> None:
    rows = run.fold_rows[fold]
    found = members[fold](images_of(run, rows))
    masks = run.output("lesion", "masks.npy")[rows]
    check_masks(found.lesion, masks)
    for name in CLASSIFIERS:
        check_answers(run, found, rows, name)
    for other in {0, 1, 2} - {fold}:
        strange = members[other](images_of(run, rows))
        assert ((strange.lesion[:, 0].numpy() > 0.5) != (masks > 0)).mean() > 0.01
        for name in CLASSIFIERS:
            probabilities = run.output(name, "probabilities.npy")[rows]
            assert np.abs(strange.outputs[name].logits.softmax(1).numpy() - probabilities).max() > 1e-3


@torch.no_grad()
def test_the_test_subset_is_predicted_by_every_member_on_its_own_inputs_and_averaged(
    run: Run, members: list[Cascade]
) -> None:
    rows = run.test_rows
    passes = [member(images_of(run, rows)) for member in members]
    for number, found in enumerate(passes):
        check_masks(found.lesion, run.output("lesion", "member-masks.npy")[number])
        for name in CLASSIFIERS:
            own = run.output(name, "member-probabilities.npy")[number]
            assert found.outputs[name].logits.softmax(1).numpy() == pytest.approx(own, abs=EXACT)
        own = run.output("symmetry", "member-saliency.npy")[number]
        assert found.saliency["symmetry"][:, 0].numpy() == pytest.approx(own, abs=1e-4)
    together = Ensemble(members)(images_of(run, rows))
    check_masks(together.lesion, run.output("lesion", "masks.npy")[rows])
    for alone in run.output("lesion", "member-masks.npy"):
        assert (alone != run.output("lesion", "masks.npy")[rows]).any(), "the mean is of probabilities"
    for name in CLASSIFIERS:
        mean = np.mean([found.outputs[name].logits.softmax(1).numpy() for found in passes], axis=0)
        assert run.output(name, "probabilities.npy")[rows] == pytest.approx(mean, abs=EXACT)
        saliency = together.saliency[name][:, 0].numpy()
        assert run.output(name, "saliency.npy")[rows] == pytest.approx(saliency, abs=1e-4)


@torch.no_grad()
def test_members_that_exchanged_masks_or_saliency_would_answer_otherwise(run: Run, members: list[Cascade]) -> None:
    """The check above can tell a member's own inputs from those of another member, or of all together."""
    images = images_of(run, run.test_rows)
    maps = [torch.from_numpy(np.array(one))[:, None] for one in run.output("symmetry", "member-saliency.npy")]
    masks = [torch.from_numpy(np.array(one))[:, None].float() for one in run.output("lesion", "member-masks.npy")]
    own = run.output("diagnosis", "member-probabilities.npy")[0]

    def answer(mask: Tensor, saliency: Tensor, read: Tensor) -> np.ndarray:
        seen = members[0].look("diagnosis", images, mask)
        # Of 48 x 64 pixels in cells of 8 x 8, the map of a mask that is read.
        cells = resize_images(read, (8, 6))
        return members[0].classify("diagnosis", seen, [saliency, cells]).logits.softmax(1).numpy()

    mask, saliency = masks[0], maps[0]
    assert answer(mask, saliency, mask) == pytest.approx(own, abs=EXACT)
    for others in (
        (masks[1], saliency, mask),
        (mask, maps[1], mask),
        (mask, torch.stack(maps).mean(0), mask),
        (mask, saliency, masks[1]),
    ):
        assert np.abs(answer(*others) - own).max() > 1e-4


def test_no_network_is_trained_or_validated_on_its_own_fold_or_the_test_subset(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cascade's three leaks of the original: of lesions, of folds, and between networks."""
    subsets = np.array([run.split.part[image] for image in run.table["image_id"]])
    assert set(subsets) == {"0", "1", "2", "test"}
    assert run.table.assign(subset=subsets).groupby("lesion_id")["subset"].nunique().max() == 1
    fits, folder = [], tmp_path / "run"

    def spy(
        task: Task, sources: Sources, train: np.ndarray, validation: np.ndarray, out: Path, **more: int
    ) -> dict[str, float]:
        fold = out.name.removeprefix("fold-")
        assert validation.tolist() == np.flatnonzero(subsets == fold).tolist()
        assert train.tolist() == np.flatnonzero((subsets != fold) & (subsets != "test")).tolist()
        assert more["seed"] == run.config.seed + int(fold)
        # What trains a classifier is what the members made of folds that they had not seen.
        masks = run.store.masks if task.name == "lesion" else run.output("lesion", "masks.npy")
        assert np.array_equal(np.asarray(sources.masks), masks)
        sources_read = ("symmetry", "lesion") if task.name == "diagnosis" else ()
        read = [run.output(source, "saliency.npy") for source in sources_read]
        assert len(sources.saliency) == len(read)
        assert all(np.array_equal(one, other) for one, other in zip(sources.saliency, read, strict=True))
        fits.append(f"{task.name}/{out.name}")
        weights = run.folder.path / "networks" / fits[-1] / "network.safetensors"
        shutil.copyfile(weights, out / "network.safetensors")
        return {}

    monkeypatch.setattr(pipeline_module, "fit", spy)
    for name in ("data", "split", "store"):
        shutil.copytree(run.folder.path / name, folder / name)
    shutil.copy(run.folder.config, folder / "config.yaml")
    Pipeline(run.config, folder).do_all(run, [step for step in run.plan if step.kind is Kind.TRAIN])
    assert fits == [f"{name}/fold-{fold}" for name in NAMES for fold in range(FOLDS)]


def test_a_pass_leaves_the_features_that_reliability_is_measured_on(run: Run, members: list[Cascade]) -> None:
    rows = run.fold_rows[1]
    with torch.no_grad():
        output = members[1](images_of(run, rows)).outputs["diagnosis"]
    features = run.output("diagnosis", "features.npy")
    assert output.activations.mean((2, 3)).numpy() == pytest.approx(features[rows], abs=1e-4)
    assert not features[run.test_rows].any(), "of the test subset none are kept"
