"""Graphs say what PyTorch says, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import selcn
from selcn.data.catalog import read_catalog
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import read_export
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_bundle, export_graphs, export_int8
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Masking


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
        assert one.diagnosis == pytest.approx(other.diagnosis, abs=1e-4)
        assert one.symmetry == pytest.approx(other.symmetry, abs=1e-4)
        assert np.abs(one.symmetry_saliency - other.symmetry_saliency).max() < 1e-4
        assert np.abs(one.diagnosis_saliency - other.diagnosis_saliency).max() < 1e-4
        assert (one.mask == other.mask).mean() > 0.999
        assert (one.abstain, one.warnings) == (other.abstain, other.warnings)


def test_eight_bits_keep_the_diagnoses(exported: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Path(path) for path in read_catalog(tiny_run / "data" / "catalog.csv")["image_path"]]
    monkeypatch.setattr("selcn.inference.onnx.export.SAME", 0.9)  # hardly trained
    assert export_int8(exported, paths) >= 0.9
    ours, theirs = selcn.load(exported, engine="onnx-int8"), selcn.load(exported)
    one, other = ours.predict(paths[0]), theirs.predict(paths[0])
    assert one.diagnosis != other.diagnosis
    assert one.diagnosis == pytest.approx(other.diagnosis, abs=0.05)
    with pytest.raises(ConfigError, match="exists already"):
        export_int8(exported, paths)
    with pytest.raises(ConfigError, match="give at least 40 usual ones"):
        export_int8(exported, paths[:5])
    shutil.rmtree(exported / "onnx-int8")
    monkeypatch.setattr("selcn.inference.onnx.export.SAME", 1.1)
    with pytest.raises(RunError, match="of the diagnoses stay; keep 32"):
        export_int8(exported, paths)
    assert not (exported / "onnx-int8").exists()


@pytest.mark.parametrize("masking", [Masking.SEGMENTATION, Masking.LAE])
def test_every_masking_is_exported(tiny_run: Path, tmp_path: Path, masking: Masking) -> None:
    config, ensemble = read_bundle(tiny_run / "bundle")
    config = config.model_copy(update={"cam_mask": masking})
    for member in ensemble.members:
        member.cam_mask = member.mask = masking
    names = export_graphs(config, ensemble, tmp_path)
    assert len(names) == (2 if masking is Masking.LAE else 1)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    ours, theirs = OnnxEngine([tmp_path / name for name in names])(pictures), TorchEngine(ensemble)(pictures)
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).max() < 1e-4


def test_what_was_changed_or_not_exported_is_refused(exported: Path, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already; remove it to export again"):
        export_bundle(exported)
    with pytest.raises(RunError, match="has no graphs in onnx; make them with `selcn export"):
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
    assert row["diagnosis"]["probabilities"] == pytest.approx(expected.diagnosis, abs=1e-4)
