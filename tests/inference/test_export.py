"""Graphs say what PyTorch says, without torch."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import selcn
from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.catalog import read_catalog
from selcn.data.imaging.masking import Masking, register_masking
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import build_cascade, write_bundle
from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows
from selcn.inference.bundle import BundleConfig, Preparation, bundle_files, read_config, read_export
from selcn.inference.given import Given
from selcn.inference.inputs import Item
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_bundle, export_graphs, export_int8
from selcn.inference.predictor import Predictor
from selcn.inference.row import flatten, row_fields
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Fusion
from selcn.models.ensemble import Ensemble


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with its graphs."""
    bundle = Path(shutil.copytree(tiny_run / "bundle", tmp_path_factory.mktemp("export") / "bundle"))
    assert max(export_bundle(bundle).values()) < 1e-4
    return bundle


def test_both_engines_predict_alike(exported: Path, tiny_run: Path) -> None:
    paths = read_catalog(tiny_run / "data" / "catalog.csv")["image_path"][:5]
    ours, theirs = selcn.load(exported, engine="onnx"), selcn.load(exported)
    for path in paths:
        one, other = ours.predict(path), theirs.predict(path)
        for name in ("symmetry", "diagnosis"):
            assert one[name].probabilities == pytest.approx(other[name].probabilities, abs=1e-4)
            assert np.abs(one[name].saliency - other[name].saliency).max() < 1e-4
        assert one.lesion is not None
        assert other.lesion is not None
        assert (one.lesion.mask == other.lesion.mask).mean() > 0.999
        assert (one.abstain, one.warnings) == (other.abstain, other.warnings)


def test_two_batches_at_once_give_the_rows_of_one_after_the_other(
    exported: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Item(path) for path in read_catalog(tiny_run / "data" / "catalog.csv")["image_path"][:30]]
    items[11] = Item(str(tmp_path / "gone.png"))
    rows = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        predictor = selcn.load(exported, engine="onnx")
        assert predictor.at_once == int(threads)
        assert selcn.load(exported).at_once == 1
        out = tmp_path / threads
        assert len(predict_files([predictor], items, out, options=OutputOptions(overlays=False))) == 1
        rows.append([(row["image"], row.get("diagnosis", {}).get("prediction")) for row in read_rows(out / ROWS)])
    assert rows[0] == rows[1]
    assert [name for name, _ in rows[0]] == [item.name for item in items]


def test_eight_bits_keep_the_diagnoses(exported: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Path(path) for path in read_catalog(tiny_run / "data" / "catalog.csv")["image_path"]]
    monkeypatch.setattr("selcn.inference.onnx.export.MIN_AGREEMENT", 0.9)  # hardly trained
    assert export_int8(exported, paths) >= 0.9
    ours, theirs = selcn.load(exported, engine="onnx-int8"), selcn.load(exported)
    one, other = ours.predict(paths[0]), theirs.predict(paths[0])
    ours_said, theirs_said = one["diagnosis"].probabilities, other["diagnosis"].probabilities
    assert ours_said != theirs_said
    assert ours_said == pytest.approx(theirs_said, abs=0.05)
    known = Given(mask=np.ones((48, 64), bool), classes={"symmetry": "asymmetric"})
    one, other = ours.predict(paths[0], known), theirs.predict(paths[0], known)
    assert one["diagnosis"].probabilities == pytest.approx(other["diagnosis"].probabilities, abs=0.05)
    assert one.lesion is not None
    assert one.lesion.mask.all()
    monkeypatch.setattr(type(ours.run), "given_shapes", lambda *_: {"mask": (48, 64)})  # as of an earlier selcn
    with pytest.raises(ConfigError, match="onnx-int8: this export cannot be given symmetry; use --engine torch"):
        ours.predict(paths[0], known)
    with pytest.raises(ConfigError, match="exists already"):
        export_int8(exported, paths)
    with pytest.raises(ConfigError, match="give at least 40 usual ones"):
        export_int8(exported, paths[:5])
    shutil.rmtree(exported / "onnx-int8")
    monkeypatch.setattr("selcn.inference.onnx.export.MIN_AGREEMENT", 1.1)
    with pytest.raises(RunError, match="of the classes of diagnosis stay; keep 32"):
        export_int8(exported, paths)
    assert not (exported / "onnx-int8").exists()


@pytest.mark.parametrize(
    ("maskings", "graphs", "largest"), [(("segmentation", "none"), 1, False), (("lae", "left-half"), 2, True)]
)
def test_every_masking_is_exported(tmp_path: Path, maskings: tuple[str, str], graphs: int, largest: bool) -> None:
    register_masking(Masking("left-half", "of the lesion", _left_half))
    first, second = maskings
    specs: dict[str, SegmenterSpec | ClassifierSpec] = {
        "lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet", flips=True, largest_region=largest),
        "symmetry": ClassifierSpec(labels="symmetry-binary", backbone="test_resnet", masking=first),
        "diagnosis": ClassifierSpec(
            labels="ham10000",
            backbone="test_resnet",
            masking=second,
            input="image+mask",
            reads={"symmetry": Fusion.CONCAT, "lesion": Fusion.ATTENTION},
        ),
    }
    torch.manual_seed(0)
    config, ensemble = bundle_config(specs), Ensemble([build_cascade(specs)])
    first_layer = next(m for m in ensemble.members[0].networks["diagnosis"].modules() if isinstance(m, torch.nn.Conv2d))  # type: ignore[index]
    torch.nn.init.normal_(first_layer.weight)  # of a new network the mask's weights are 0
    names = export_graphs(config, ensemble, tmp_path)
    assert len(names) == graphs
    images = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    ours, theirs = OnnxEngine(config, [tmp_path / name for name in names])(images), TorchEngine(ensemble)(images)
    assert ours.lesion is not None
    assert theirs.lesion is not None
    assert np.abs(ours.lesion - theirs.lesion).max() < 1e-4
    for name in config.classifiers:
        assert np.abs(ours.probabilities[name] - theirs.probabilities[name]).max() < 1e-4
        assert np.abs(ours.saliency[name] - theirs.saliency[name]).max() < 1e-4
    assert np.abs(OnnxEngine(config, [tmp_path / name for name in names]).segment(images) - ours.lesion).max() < 1e-6
    follow_alike(config, OnnxEngine(config, [tmp_path / name for name in names]), TorchEngine(ensemble), images)


def follow_alike(config: BundleConfig, graphs: OnnxEngine, networks: TorchEngine, images: np.ndarray) -> None:
    """Given results have the same consequences in both engines, in batches of images with and without them."""
    mask = np.zeros(images.shape[1:3], bool)
    mask[10:30, 5:25] = True
    gradient = np.tile(np.linspace(0, 1, 9), (7, 1))
    given = [
        Given(),
        Given(mask=mask, classes={"symmetry": "symmetric"}),
        Given(classes={"symmetry": "asymmetric"}, saliency={"symmetry": gradient, "diagnosis": gradient}),
    ]
    one, other = Predictor(config, graphs), Predictor(config, networks)
    for batch in (given, [given[1]] * 3):
        for ours, theirs in zip(
            one.predict_batch([*images], batch), other.predict_batch([*images], batch), strict=True
        ):
            assert ours.given == theirs.given
            assert ours.lesion is not None
            assert theirs.lesion is not None
            assert (ours.lesion.mask == theirs.lesion.mask).mean() > 0.999
            for name in config.classifiers:
                assert ours[name].probabilities == pytest.approx(theirs[name].probabilities, abs=1e-4)
                assert np.abs(ours[name].saliency - theirs[name].saliency).max() < 1e-4


def bundle_config(specs: dict[str, SegmenterSpec | ClassifierSpec]) -> BundleConfig:
    """The configuration of one cascade whose target is its last network."""
    return BundleConfig(
        selcn="0",
        name="small",
        prepare=Preparation(size=(64, 48), hair=False),
        networks=specs,
        target=list(specs)[-1],
        members=1,
        split="",
    )


def _left_half(masks: np.ndarray) -> np.ndarray:
    left = masks.copy()
    left[:, :, masks.shape[2] // 2 :] = False
    return left


def test_the_largest_region_is_chosen_between_graphs_though_no_masking_is(tmp_path: Path) -> None:
    specs: dict[str, SegmenterSpec | ClassifierSpec] = {
        "lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet", largest_region=True),
        "diagnosis": ClassifierSpec(labels="ham10000", backbone="test_resnet", masking="segmentation"),
    }
    torch.manual_seed(0)
    config, member = bundle_config(specs), build_cascade(specs)
    ensemble = Ensemble([member])
    assert "largest_region" in config.to_json()
    names = export_graphs(config, ensemble, tmp_path)
    assert len(names) == 2
    images = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    ours, theirs = OnnxEngine(config, [tmp_path / name for name in names])(images), TorchEngine(ensemble)(images)
    assert ours.lesion is not None
    assert theirs.lesion is not None
    whole = member.networks["lesion"]
    raw = whole(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).sigmoid()[:, 0].numpy(force=True)
    assert ((raw > 0.5) & (ours.lesion < 0.5)).any(), "there are islands, and they are gone"
    assert np.abs(ours.lesion - theirs.lesion).max() < 1e-4
    assert np.abs(ours.probabilities["diagnosis"] - theirs.probabilities["diagnosis"]).max() < 1e-4


def test_a_bundle_without_a_segmenter_is_exported(tmp_path: Path) -> None:
    specs: dict[str, SegmenterSpec | ClassifierSpec] = {
        "streaks": ClassifierSpec(labels=["absent", "present"], backbone="test_efficientnet", reduction=16)
    }
    torch.manual_seed(0)
    config = bundle_config(specs)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_bundle(bundle, config, Ensemble([build_cascade(specs)]))
    export_bundle(bundle)
    image = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    ours, theirs = selcn.load(bundle, engine="onnx").predict(image), selcn.load(bundle).predict(image)
    assert ours["streaks"].probabilities == pytest.approx(theirs["streaks"].probabilities, abs=1e-4)
    assert ours["streaks"].saliency == pytest.approx(theirs["streaks"].saliency, abs=1e-4)
    assert ours["streaks"].saliency.shape == (3, 4), "the backbone ends at 16 pixels a position"
    assert (ours.lesion, ours.warnings, ours.abstain) == (None, (), False)
    rows = [flatten({"image": "x", **one.to_json()}, config) for one in (ours, theirs)]
    assert [list(row) for row in rows] == [list(row_fields(config))] * 2


def test_what_was_changed_or_not_exported_is_refused(exported: Path, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already; remove it to export again"):
        export_bundle(exported)
    with pytest.raises(RunError, match=r"has no graphs in onnx; `selcn export .*bundle' --out FOLDER` writes"):
        selcn.load(tiny_run / "bundle", engine="onnx")
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    graph = other / "onnx" / "cascade.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(RunError, match=r"cascade\.onnx: was changed"):
        read_export(other)
    about = json.loads((other / "onnx" / "export.json").read_text())
    (other / "onnx" / "export.json").write_text(json.dumps(about | {"bundle": "0"}))
    with pytest.raises(RunError, match="was exported from another bundle"):
        read_export(other)


def test_the_bundle_that_ships_stays_as_it_is_and_a_copy_has_the_graphs(
    tiny_run: Path,
    tmp_path: Path,
    selcn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, out, picture = tmp_path / "ham10000", tmp_path / "copy", next((tiny_run / "data/phantom/images").iterdir())
    shutil.copytree(tiny_run / "bundle", bundle)
    monkeypatch.setattr("selcn.inference.shipped.PLACES", (tmp_path,))
    before = sorted(bundle.rglob("*"))
    assert selcn("predict", bundle, picture, "--engine", "onnx", "--out", tmp_path / "none") == 2
    (remedy,) = re.findall("`selcn ([^`]*)`", capsys.readouterr().err)
    assert shlex.split(remedy) == ["export", str(bundle), "--out", "FOLDER"]
    assert selcn("export") == 2
    assert selcn("export", "--out", out) == 0  # of the bundle that ships, which is the same
    assert sorted(bundle.rglob("*")) == before
    assert read_export(out)[0] == read_config(bundle)
    assert bundle_files(out) == [*bundle_files(bundle), *(f"onnx/{name}" for name in ("cascade.onnx", "export.json"))]
    assert selcn("predict", out, picture, "--engine", "onnx", "--out", tmp_path / "rows") == 0
    assert selcn("export", bundle, "--out", out) == 2
    assert "copy: exists already; remove it" in capsys.readouterr().err


def test_the_command_predicts_without_torch_pandas_and_matplotlib(
    exported: Path, tiny_run: Path, tmp_path: Path
) -> None:
    picture = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    refuse = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'lightning', 'timm', 'pandas', 'matplotlib', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from selcn.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", refuse, "predict", str(exported), str(picture), "--engine", "onnx"]
    subprocess.run([*command, "--out", str(tmp_path / "out"), "--table", "csv"], check=True)
    row = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    expected = selcn.load(exported).predict(picture)
    assert row["diagnosis"]["probabilities"] == pytest.approx(expected["diagnosis"].probabilities, abs=1e-4)
