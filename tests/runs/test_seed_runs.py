"""Several seeds of one configuration: a run each on one split, resumable, and tables of what varies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.cli.train import run
from selcn.config import dump_config
from selcn.data.catalog import write_catalog
from selcn.errors import ConfigError
from selcn.evaluation import compare_seeds, read_predictions
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import open_run


@pytest.fixture
def config(
    phantom: pd.DataFrame,
    small_networks: dict[str, dict[str, Any]],
    pipeline_of: Callable[..., Pipeline],
    tmp_path: Path,
) -> Path:
    odd = pd.factorize(phantom["lesion_id"])[0] % 2 == 1
    table = phantom.assign(diagnosis=np.where(odd, "mel", "nv"), symmetry=np.where(odd, "asymmetric", "two-axes"))
    write_catalog(table, tmp_path / "catalog.csv")
    symmetry = {**small_networks["symmetry"], "masking": "none"}
    diagnosis = {**small_networks["diagnosis"], "masking": "none"}
    tree = pipeline_of(
        tmp_path / "catalog.csv",
        tmp_path / "unused",
        {"symmetry": symmetry, "diagnosis": diagnosis},
        compare={"diagnosis": ["standalone"]},
    )
    (tmp_path / "small.yaml").write_text(dump_config(tree.config))
    return tmp_path / "small.yaml"


def test_seeds_share_the_split_resume_and_are_compared(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seeds"
    run(config, out, seeds=2)
    runs = [open_run(out / name) for name in ("seed-0", "seed-1")]
    assert runs[0].split.fingerprint == runs[1].split.fingerprint
    assert [one.config.seed for one in runs] == [0, 1]
    files = [[one.folder.prediction_file(name) for one in runs] for name in ("diagnosis-standalone", "diagnosis")]
    tables = {name: pd.read_csv(out / f"{name}.csv") for name in ("metrics", "comparison", "variance")}
    row = tables["metrics"].query("network == 'diagnosis' and metric == 'nll' and fold_part == 'test'").iloc[0]
    both = [pd.read_csv(one.folder.metrics("diagnosis")) for one in runs]
    values = [table.query("metric == 'nll' and fold_part == 'test'")["value"].iloc[0] for table in both]
    assert row["value"] == pytest.approx(sum(values) / 2)
    assert row["seed_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    labels = runs[0].labels("diagnosis")
    expected = compare_seeds(*[[read_predictions(file, labels) for file in method] for method in files], resamples=100)
    found = tables["comparison"].query("b == 'diagnosis'")
    assert found["value"].tolist() == pytest.approx(expected["value"].tolist(), nan_ok=True)
    assert set(tables["variance"]["network"]) == {"symmetry", "diagnosis", "diagnosis-standalone"}
    assert tables["variance"].query("against == 'diagnosis-standalone'")["folds"].eq(2).all()
    assert "variance.csv: balanced accuracy, test" in capsys.readouterr().out
    trained = [one.stat().st_mtime_ns for one in sorted(out.rglob("network.safetensors"))]
    run(config, out, seeds=2)
    assert [one.stat().st_mtime_ns for one in sorted(out.rglob("network.safetensors"))] == trained
    with pytest.raises(ConfigError, match="is a run; --seeds makes a folder of runs"):
        run(config, out / "seed-0", seeds=2)


def test_one_seed_is_no_comparison(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--seeds 1: give at least 2"):
        run(config, tmp_path / "seeds", seeds=1)
