"""Networks with a frozen backbone: trained on stored features, from a configuration to bundle, ONNX and report."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

import selcn
from selcn.config import ClassificationSection
from selcn.data.datasets import Batch, as_floats, gather_images, gather_maps
from selcn.data.store.store import Store
from selcn.errors import RunError
from selcn.inference.onnx.export import export_bundle
from selcn.labels.metadata import WIDTH
from selcn.report import refresh_report
from selcn.runs import features as features_module
from selcn.runs import pipeline as pipeline_module
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
from selcn.tasks.classification import ClassificationTask
from selcn.tasks.frozen import FrozenTask
from selcn.training.trainer import fit

Make = Callable[..., Pipeline]
SIZES = {"test_resnet": (96, 64), "test_vit": (64, 48)}


@pytest.fixture(scope="module")
def make(
    tiny_run: Path,
    small_networks: dict[str, dict[str, Any]],
    pipeline_of: Callable[..., Pipeline],
    tmp_path_factory: pytest.TempPathFactory,
) -> Make:
    """Makes a pipeline of a masked network that is read, a transformer that reads it, and its twin, all frozen."""
    folder = tmp_path_factory.mktemp("weights")
    for name in SIZES:
        torch.manual_seed(1)
        save_file(timm.create_model(name, num_classes=3).state_dict(), folder / f"{name}.safetensors")

    def frozen(backbone: str, labels: str, **keys: Any) -> dict[str, Any]:
        weights = str(folder / f"{backbone}.safetensors")
        keys = {"epochs": 2, "batch": 16, "lr": 1e-2, **keys}
        return {"task": "classification", "labels": labels, "backbone": backbone, "size": SIZES[backbone], **keys} | {
            "weights": weights,
            "freeze": True,
        }

    networks = {
        "lesion": small_networks["lesion"],
        "symmetry": frozen("test_resnet", "symmetry-binary", masking="lae", balance=30),
        "diagnosis": frozen("test_vit", "ham10000", reads={"symmetry": "concat"}, flips=True),
        "probe": frozen("test_vit", "ham10000"),
    }
    explained = {
        "first": frozen("test_resnet", "symmetry-binary", saliency="grad-cam"),
        "second": frozen("test_resnet", "symmetry", saliency="layer-cam", optimiser="lbfgs"),
        "third": frozen("test_vit", "ham10000", saliency="eigen-cam"),
    }
    more = {"compare": {"diagnosis": ["standalone"]}, "target": "diagnosis"}
    catalog = tiny_run / "data" / "catalog.csv"

    def make(out: Path, *, methods: bool = False) -> Pipeline:
        return pipeline_of(catalog, out, explained) if methods else pipeline_of(catalog, out, networks, **more)

    return make


@pytest.fixture(scope="module")
def run(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run up to its prediction files; tests only read it."""
    pipeline = make(tmp_path_factory.mktemp("frozen") / "run")
    prepared = pipeline.prepare()
    pipeline.do_all(prepared, [Step(Kind.PREDICTIONS)])
    return prepared


CLASSIFIERS = ("symmetry", "diagnosis", "diagnosis-standalone", "probe")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_backbone_stays_as_the_file_gives_it_and_the_head_learns(run: Run, name: str) -> None:
    section = run.graph.classifiers[name]
    given = load_file(str(section.weights))
    kept = [load_file(run.folder.training(name, fold) / "network.safetensors") for fold in range(2)]
    same = [key for key in given if not key.startswith(("head.", "fc.", "pos_embed"))]
    for weights in kept:
        assert all(torch.equal(weights[f"backbone.body.network.{key}"], given[key]) for key in same)
    assert len(same) > 10
    assert not torch.equal(kept[0]["head.linear.weight"], kept[1]["head.linear.weight"])
    assert len(run.curves(name)[0].epochs) == 2


def test_twins_share_one_pass(run: Run) -> None:
    passes = sorted(step.path for step in run.plan if step.kind is Kind.FEATURES)
    assert passes == ["features/diagnosis", "features/probe", "features/symmetry"]
    shapes = {
        path: np.load(run.folder.path / "features" / path, mmap_mode="r").shape
        for path in ("symmetry/arrays/views.npy", "symmetry/arrays/maps.npy", "diagnosis/arrays/views.npy")
    }
    assert list(shapes.values()) == [(96, 4, 96, 1, 1), (96, 96, 2, 3), (96, 4, 64, 3, 4)]
    assert not (run.folder.features("diagnosis") / "maps.npy").exists()


@torch.no_grad()
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_outputs_are_those_of_the_whole_networks(run: Run, name: str) -> None:
    """Of each fold by the member that did not see it, of the test subset by both, from images and not from features."""
    needed = run.graph.with_needs(name)
    members = [run.cascade(fold, needed) for fold in range(2)]
    for fold, member in enumerate(members):
        rows = run.fold_rows[fold]
        found = member(as_floats(gather_images(run.store, rows)))
        probabilities, saliency = (run.output(name, f"{kind}.npy")[rows] for kind in ("probabilities", "saliency"))
        assert found.outputs[name].logits.softmax(1).numpy() == pytest.approx(probabilities, abs=1e-5)
        assert found.saliency[name][:, 0].numpy() == pytest.approx(saliency, abs=1e-4)
    tested = as_floats(gather_images(run.store, run.test_rows))
    both = torch.stack([member(tested).outputs[name].logits.softmax(1) for member in members])
    assert run.output(name, "member-probabilities.npy") == pytest.approx(both.numpy(), abs=1e-5)


@pytest.mark.parametrize("name", ["symmetry", "diagnosis"])
def test_the_loss_of_a_view_is_that_of_the_flipped_image(run: Run, name: str) -> None:
    """Stored features give what the whole network gives for the masked image, its mirror, its flip and both."""
    stored = run.task(name, 0)
    section = run.graph.classifiers[name].model_copy(update={"freeze": False})
    whole_task = ClassificationTask(name, section)
    torch.manual_seed(0)
    network = stored.build()
    whole = whole_task.build()
    whole.load_state_dict(network.state_dict(), strict=False)
    rows = run.fold_rows[0][:4]
    sources = run.sources(name)
    assert sources.views is not None
    images = as_floats(gather_images(run.store, rows))
    masks = gather_maps(run.output("lesion", "masks.npy"), rows).float()
    maps = [gather_maps(one, rows) for one in sources.saliency]
    labels = torch.zeros(4, dtype=torch.int64)
    for number, axes in enumerate(([], [3], [2], [2, 3])):
        saliency = tuple(one.flip(axes) for one in maps)
        batch = Batch(images.flip(axes), masks.flip(axes), saliency, labels)
        expected, _ = whole_task.loss(whole.eval(), whole_task.look(batch))
        features = torch.from_numpy(np.array(sources.views[rows]))[:, number]
        loss, _ = stored.loss(network.eval(), stored.look(batch._replace(image=features)))
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-5), number


class KilledError(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(
    run: Run, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the pass over the images, and again in the training; what is done is not repeated."""
    seen: list[int] = []

    def gather(store: Store, rows: np.ndarray) -> torch.Tensor:
        if len(seen) == 2:
            seen.clear()
            raise KilledError
        seen.append(len(rows))
        return gather_images(store, rows)

    def kill(epoch: int, _: Mapping[str, float]) -> None:
        if epoch == 1:
            raise KilledError

    step = Step(Kind.TRAIN, "probe", 0)
    monkeypatch.setattr(features_module, "gather_images", gather)
    monkeypatch.setattr(pipeline_module, "fit", lambda *args, **more: fit(*args, **{**more, "on_epoch": kill}))
    prepared = make(tmp_path / "run").prepare()
    for _ in range(2):
        with pytest.raises(KilledError):
            make(tmp_path / "run").do_all(prepared, [step])
    assert seen == [32], "of three batches the last alone is left"
    monkeypatch.setattr(pipeline_module, "fit", fit)
    make(tmp_path / "run").do_all(prepared, [step])
    resumed, unbroken = (load_file(one.folder.training("probe", 0) / "network.safetensors") for one in (prepared, run))
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())


def test_frozen_transformers_with_each_saliency_method_go_from_a_configuration_to_bundle_onnx_and_report(
    make: Make, tmp_path: Path
) -> None:
    run = make(tmp_path / "run", methods=True).run()
    bundle, path = run.folder.bundle, Path(run.table["image_path"].iloc[run.test_rows[0]])
    assert "freeze" not in (bundle / "config.json").read_text()
    assert max(export_bundle(bundle).values()) < 1e-4
    one, other = (selcn.load(bundle, engine=engine).predict(path) for engine in ("torch", "onnx"))
    for name in ("first", "second", "third"):
        stored = run.output(name, "probabilities.npy")[run.test_rows[0]]
        expected = [*one[name].probabilities.values()]
        assert [*other[name].probabilities.values()] == pytest.approx(expected, abs=1e-4)
        assert one[name].prediction == run.labels(name).names[int(stored.argmax())]
        saliency = run.output(name, "saliency.npy")[run.test_rows[0]]
        assert one[name].saliency == pytest.approx(saliency, abs=1e-4)
        assert other[name].saliency == pytest.approx(saliency, abs=1e-4)
    assert one["third"].saliency.shape == (3, 4)
    assert refresh_report(run.folder.path).stat().st_size > 10_000


def test_weights_that_were_changed_meanwhile_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "sha256", lambda _: "other")
    with pytest.raises(RunError, match="was changed since its features were computed"):
        features_module.check_features(run, "probe")


def test_what_a_frozen_backbone_cannot_do_is_refused_and_flips_alone_are_left() -> None:
    keys = {"labels": "ham10000", "freeze": True, "weights": "imagenet"}
    section = ClassificationSection.model_validate(keys)
    assert section.augment.model_dump() == {"rotation": 0, "zoom": 0, "shift": 0, "flip": True, "colour": 0}
    assert ClassificationSection.model_validate(section.model_dump(mode="json")) == section
    for more, said in (
        ({"augment": {"rotation": 90}}, r"each image and its flips; remove augment\.rotation"),
        ({"mix": "mixup", "freeze_epochs": 2}, "remove freeze_epochs, mix"),
        ({"init": "a#b"}, "remove init"),
        ({"weights": None}, "give weights, imagenet or a safetensors file"),
        ({"masking": "lae", "masks": "true"}, "remove masks"),
        ({"input": "image+mask"}, "has to learn the mask's channel"),
    ):
        with pytest.raises(ValidationError, match=said):
            ClassificationSection.model_validate({**keys, **more})


def test_controls_of_a_frozen_network_stand_in_place_of_metadata_and_saliency() -> None:
    keys = {"labels": "ham10000", "freeze": True, "weights": "imagenet", "metadata": ["age"], "reads": {"a": "concat"}}
    section = ClassificationSection.model_validate({**keys, "metadata_control": "zero", "control": "zero"})
    batch = Batch(torch.rand(2, 5, 1, 1), saliency=(torch.rand(2, 1, 3, 3),), metadata=torch.rand(2, WIDTH))
    shown = FrozenTask("probe", section).look(batch)
    assert not shown.metadata.any()
    assert not shown.saliency[0].any()
    assert torch.equal(shown.image, batch.image)
