import json
from pathlib import Path

import pytest

from selcn.errors import RunError
from selcn.runs.folder import RunFolder
from selcn.runs.plan import Kind, Step


def test_every_file_of_a_run_lies_where_its_folder_says(tiny_run: Path) -> None:
    folder, names = RunFolder(tiny_run), ("lesion", "symmetry", "diagnosis", "diagnosis-standalone")
    files = [
        folder.config,
        folder.environment,
        folder.catalog,
        folder.split,
        folder.store / "images.npy",
        folder.bundle / "manifest.json",
        *(folder.training(name, fold) / "network.safetensors" for name in names for fold in (0, 1)),
        *(folder.outputs(name) / ("probabilities.npy" if name != "lesion" else "masks.npy") for name in names),
        *(folder.prediction_file(name) for name in names),
        *(folder.member_file(name, fold) for name in names[1:] for fold in (0, 1)),
        *(folder.metrics(name) for name in names),
        *(folder.saliency_scores(name) for name in ("symmetry", "diagnosis")),
        *(folder.evaluation / name for name in ("comparison.csv", "cross_validation.csv", "saliency.csv")),
    ]
    assert [path for path in files if not path.is_file()] == []
    assert not folder.work.exists(), "a finished run is tidied"


def test_a_step_has_finished_when_its_manifest_is_there(tmp_path: Path) -> None:
    folder, step = RunFolder(tmp_path), Step(Kind.TRAIN, "lesion", 1)
    path = tmp_path / "networks" / "lesion" / "fold-1"
    assert folder.step(step) == folder.training("lesion", 1) == path
    path.mkdir(parents=True)
    assert not folder.finished(step)
    message = r"step networks/lesion/fold-1 has not finished; resume with `selcn run .*config\.yaml --out "
    with pytest.raises(RunError, match=message):
        folder.manifest(step)
    (path / "step.json").write_text(json.dumps({"epochs": 3}))
    assert folder.finished(step)
    assert folder.manifest(step) == {"epochs": 3}
