"""Two real processes, talking through gloo, train and validate as one does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from selcn.config import dump_config, load_config
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.training.compute import Compute

SELCN = Path(sys.executable).parent / "selcn"
# SqueezeNet has no batch norm, whose statistics would be of half a batch, and dropout would be drawn anew.
KEYS = ["symmetry.dropout=0", "symmetry.epochs=2", "symmetry.lr=1.0e-4", "symmetry.weighted=true"]


def test_two_processes_get_the_metrics_of_one(tiny_run: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(dump_config(load_config(tiny_run / "config.yaml", KEYS)))
    for name in ("one", "two"):
        for step in ("data", "split", "store", "networks/lesion", "outputs/lesion"):
            shutil.copytree(tiny_run / step, tmp_path / name / step)
        shutil.copy(config, tmp_path / name / "config.yaml")
    alone = Pipeline(load_config(config), tmp_path / "one", compute=Compute(accelerator="cpu"))
    alone.do_all(alone.prepare(), [Step(Kind.TRAIN, "symmetry", fold) for fold in (0, 1)])
    command = [SELCN, "train", "symmetry", "--config", config, "--out", tmp_path / "two", "--accelerator", "cpu"]
    done = subprocess.run(
        [*map(str, command), "--devices", "2"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for fold in (0, 1):
        one, two = (
            pd.read_csv(tmp_path / name / "networks" / "symmetry" / f"fold-{fold}" / "metrics.csv")
            for name in ("one", "two")
        )
        assert len(one) == 2
        for column in ("val_loss", "val_balanced_accuracy"):
            assert two[column].tolist() == pytest.approx(one[column].tolist(), rel=1e-4), (fold, column)
