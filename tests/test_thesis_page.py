"""Every command of the page on the thesis' scripts runs as it is written, on a phantom and with tiny networks."""

import re
import shlex
from pathlib import Path

import dataset_trees
import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock

from selcn.cli import main
from selcn.config.reading import PRESETS
from selcn.data.catalog import write_catalog
from selcn.runs.executor import _locked
from selcn.runs.folder import RunFolder

PAGE = Path(__file__).parent.parent / "docs" / "from-the-thesis.md"
RUN = "runs/thesis"
NETWORKS: dict[str, dict[str, str | int]] = {
    "lesion": {"architecture": "Unet", "encoder": "tu-test_resnet"},
    "symmetry": {"backbone": "squeezenet1_1"},
    "diagnosis": {"backbone": "test_resnet", "labels": "benign-malignant", "balance": 8},
}


def commands() -> list[list[str]]:
    """Words of every command in the page's tables, those of a finished run last."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    shown = dict.fromkeys(match for row in rows for match in re.findall(r"`selcn ([^`]+)`", row))
    return [shlex.split(one) for one in sorted(shown, key=lambda one: RUN + " " in one + " " or RUN + "/" in one)]


def write_tiny_preset() -> None:
    """A file of the preset's name, which goes before the preset: its own keys, but tiny."""
    tree = yaml.safe_load((PRESETS / "thesis.yaml").read_text(encoding="utf-8"))
    tree |= {
        "data": {"source": "catalog", "path": "catalog.csv"},
        "split": {"folds": 2, "test": 0.25},
        "resamples": 100,
    }
    tree["prepare"]["size"] = [64, 48]
    for name, network in tree["networks"].items():
        network |= {**NETWORKS[name], "weights": None, "epochs": 1, "batch": 4, "size": [32, 32]}
        for recipes in ("by_masking", "by_fusion"):
            for recipe in network.get(recipes, {}).values():
                recipe["batch"] = 4
    Path("thesis").write_text(yaml.safe_dump(tree), encoding="utf-8")


def run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> int:
    """Exit code of a command."""
    locks: list[FileLock] = []

    def locked(folder: RunFolder) -> FileLock:
        locks.append(_locked(folder))
        return locks[-1]

    monkeypatch.setattr("selcn.runs.executor._locked", locked)
    monkeypatch.setattr("sys.argv", ["selcn", *words])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        while locks:  # a process that ends releases the lock of its run's folder
            locks.pop().release(force=True)
    return 0


def test_every_command_of_the_page_runs(
    phantom: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # In this process, and the grid of one masking, since each further one repeats the same.
    monkeypatch.setattr("selcn.runs.jobs.Jobs.run", lambda _self, work, *arguments: work(0, *arguments))
    monkeypatch.setattr("selcn.config.grid.MASKINGS", ("none",))
    monkeypatch.setattr("selcn.models.architectures.UNET_CHANNELS", (4, 8, 16, 32, 64))
    Path("HAM10000").mkdir()
    monkeypatch.chdir("HAM10000")
    dataset_trees.ham10000()
    monkeypatch.chdir(tmp_path)
    dataset_trees.draw("lesion.jpg", "images/one.png", "images/two.png")
    write_tiny_preset()
    Path("space.yaml").write_text("lr: {low: 1.0e-4, high: 1.0e-3, scale: log}", encoding="utf-8")
    seen = set()
    for words in commands():
        first, *rest = words
        if first == "tune":
            rest[rest.index("--trials") + 1] = "1"
            rest += ["--space", "space.yaml"]  # the thesis' batches are larger than the phantom
        code = run(monkeypatch, [first, *rest])
        assert code == 0, f"selcn {shlex.join(words)}: {capsys.readouterr().err}"
        if first == "audit":  # the phantom in place of what was indexed, some of it from another source
            odd = pd.factorize(phantom["lesion_id"])[0] % 2 == 1
            table = phantom.assign(diagnosis=np.where(odd, "mel", "nv"), source=np.where(odd, "ph2", "phantom"))
            write_catalog(table, Path("catalog.csv"))
        seen.add(first)
    assert seen >= {
        "index",
        "split",
        "prepare",
        "train",
        "tune",
        "run",
        "grid",
        "mask",
        "saliency",
        "evaluate",
        "predict",
    }
    folds = pd.read_csv(f"{RUN}/evaluation/cross_validation.csv")
    assert set(folds["name"]) >= {"symmetry-lae", "diagnosis-none-lae", "diagnosis", "diagnosis-standalone"}
