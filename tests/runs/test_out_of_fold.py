"""Each row of the table in docs/architecture.md on how nothing leaks, with three folds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from selcn.config import RunConfig
from selcn.data.datasets import Sources, as_floats, gather_images
from selcn.models.cascade import Ensemble, explain
from selcn.runs import pipeline as pipeline_module
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import Run
from selcn.tasks.task import Task

FOLDS = 3
NETWORK = {"task": "classification", "backbone": "test_resnet", "size": [32, 32], "epochs": 1, "batch": 4, "lr": 1e-2}
TREE = {
    "data": {"source": "phantom", "images": 96, "seed": 1},
    "split": {"folds": FOLDS, "test": 0.25},
    "prepare": {"size": [64, 48]},
    "networks": {
        "lesion": {
            "task": "segmentation",
            "architecture": "Unet",
            "encoder": "tu-test_resnet",
            "size": [32, 32],
            "epochs": 1,
            "batch": 4,
            "lr": 1e-2,
        },
        "symmetry": {**NETWORK, "labels": "symmetry-binary", "masking": "lae"},
        "diagnosis": {**NETWORK, "labels": "ham10000", "masking": "segmentation", "reads": {"symmetry": "concat"}},
    },
    "resamples": 100,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three folds; tests only read it."""
    folder = tmp_path_factory.mktemp("folds") / "run"
    return Pipeline(RunConfig.model_validate(TREE), folder).run()


def images_of(run: Run, rows: np.ndarray) -> torch.Tensor:
    return as_floats(gather_images(run.store, rows))


@torch.no_grad()
def test_a_fold_is_predicted_by_the_member_that_did_not_see_it_end_to_end(run: Run) -> None:
    for fold in range(FOLDS):
        rows = run.fold_rows[fold][:5]
        found = run.cascade(fold, ["lesion", "symmetry", "diagnosis"])(images_of(run, rows))
        assert ((found.lesion[:, 0] > 0.5).numpy() == (run.output("lesion", "masks.npy")[rows] > 0)).mean() > 0.999
        for name in ("symmetry", "diagnosis"):
            probabilities = found.outputs[name].logits.softmax(1).numpy()
            assert probabilities == pytest.approx(run.output(name, "probabilities.npy")[rows], abs=1e-5)
            assert found.saliency[name][:, 0].numpy() == pytest.approx(run.output(name, "saliency.npy")[rows], abs=1e-4)
        for other in {0, 1, 2} - {fold}:
            elsewhere = run.cascade(other, ["lesion", "symmetry", "diagnosis"])(images_of(run, rows))
            strange = elsewhere.outputs["diagnosis"].logits.softmax(1).numpy()
            assert np.abs(strange - run.output("diagnosis", "probabilities.npy")[rows]).max() > 1e-3


@torch.no_grad()
def test_the_test_subset_is_predicted_by_every_member_on_its_own_inputs_and_averaged(run: Run) -> None:
    members = [run.cascade(fold, ["lesion", "symmetry", "diagnosis"]) for fold in range(FOLDS)]
    rows = run.test_rows[:6]
    together = Ensemble(members)(images_of(run, rows))
    for number, member in enumerate(members):
        found = member(images_of(run, rows))
        mask = run.output("lesion", "member-masks.npy")[number, :6]
        assert ((found.lesion[:, 0] > 0.5).numpy() == (mask > 0)).mean() > 0.999
        for name in ("symmetry", "diagnosis"):
            own = run.output(name, "member-probabilities.npy")[number, :6]
            assert found.outputs[name].logits.softmax(1).numpy() == pytest.approx(own, abs=1e-5)
        own_saliency = run.output("symmetry", "member-saliency.npy")[number, :6]
        assert explain(found.outputs["symmetry"])[:, 0].numpy() == pytest.approx(own_saliency, abs=1e-4)
    for name in ("symmetry", "diagnosis"):
        assert together.probabilities[name].numpy() == pytest.approx(
            run.output(name, "probabilities.npy")[rows], abs=1e-5
        )
        assert together.saliency[name][:, 0].numpy() == pytest.approx(run.output(name, "saliency.npy")[rows], abs=1e-4)
    table = run.predictions("diagnosis").table.set_index("image_id")
    classes = run.labels("diagnosis").names
    recorded = table.loc[run.table["image_id"].iloc[rows], classes].to_numpy()
    assert recorded == pytest.approx(together.probabilities["diagnosis"].numpy(), abs=1e-5)


def test_no_network_is_trained_or_validated_on_its_own_fold_or_the_test_subset(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cascade's three leaks of the original: of lesions, of folds, and between networks."""
    lesions = run.table.assign(part=run.table["image_id"].map(run.split.part)).groupby("lesion_id")["part"].agg(set)
    assert lesions.map(len).max() == 1
    parts = run.table["image_id"].map(run.split.part).to_numpy()
    fits: list[tuple[str, str, set[str], set[str]]] = []
    folder = tmp_path / "run"

    def spy(
        task: Task, sources: Sources, train: np.ndarray, validation: np.ndarray, out: Path, **_: object
    ) -> dict[str, float]:
        if task.name == "diagnosis":
            # What trains the classifier is what the members made of folds that they had not seen.
            assert sources.masks is not None
            assert np.array_equal(sources.masks, run.output("lesion", "masks.npy"))
            assert np.array_equal(sources.saliency[0], run.output("symmetry", "saliency.npy"))
        fits.append((task.name, out.name, set(parts[train]), set(parts[validation])))
        weights = run.folder.path / out.relative_to(folder / ".work") / "network.safetensors"
        shutil.copyfile(weights, out / "network.safetensors")
        return {}

    monkeypatch.setattr(pipeline_module, "fit", spy)
    for name in ("data", "split", "store"):
        shutil.copytree(run.folder.path / name, folder / name)
    shutil.copy(run.folder.config, folder / "config.yaml")
    Pipeline(run.config, folder).run()
    assert len(fits) == FOLDS * 3
    for _, fold, train, validation in fits:
        own = fold.removeprefix("fold-")
        assert validation == {own}
        assert train == {"0", "1", "2"} - {own}


def test_a_pass_leaves_the_features_that_reliability_is_measured_on(run: Run) -> None:
    rows = run.fold_rows[1]
    features = run.output("diagnosis", "features.npy")[rows]
    assert np.isfinite(features).all()
    assert features.std() > 0
    assert not run.output("diagnosis", "features.npy")[run.test_rows].any(), "of the test subset none are kept"
