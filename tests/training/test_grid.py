import shutil
from pathlib import Path

import pandas as pd
from rich.console import Console

from selcn.config import RunConfig, grid_variants
from selcn.labels import Control, Fusion
from selcn.runs.grid import run_in_jobs
from selcn.runs.jobs import Cluster
from selcn.runs.metrics import grid_table
from selcn.runs.pipeline import Pipeline

QUIET = Console(quiet=True)


def test_a_run_in_jobs_gets_what_one_process_gets(tiny_run: Path, tiny_config: RunConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name in ("data", "split", "store"):
        shutil.copytree(tiny_run / name, run / name)
    shutil.copy(tiny_run / "config.yaml", run / "config.yaml")
    run_in_jobs(Pipeline(tiny_config, run, QUIET), Cluster(jobs=2))
    for path in sorted((tiny_run / "predictions").rglob("*.csv")):
        other = run / path.relative_to(tiny_run)
        pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(other), atol=1e-5)
    table = pd.read_csv(run / "jobs" / "jobs.csv", na_filter=False)
    steps = [step for steps in table["steps"] for step in steps.split()]
    assert sorted(steps) == sorted(Pipeline(tiny_config, run, QUIET, worker=True).plan)
    assert (table["host"] != "").all()


def test_the_grid_has_the_thesis_twelve_variants_attention_and_controls() -> None:
    assert len(grid_variants()) == 12
    assert [variant.fusion for variant in grid_variants()].count(Fusion.NONE) == 3
    assert len(grid_variants(attention=True)) == 21
    controlled = [variant.control for variant in grid_variants(controls=True) if variant.control]
    assert sorted(controlled) == sorted([*Control] * 3)
    names = [variant.name for variant in grid_variants(attention=True, controls=True)]
    assert len(set(names)) == 30


def test_the_grids_table_sets_each_variant_beside_its_standalone(tiny_run: Path, tiny_config: RunConfig) -> None:
    table = grid_table(tiny_run / "evaluation", tiny_config.classification.variants).set_index("variant")
    figures = pd.read_csv(tiny_run / "evaluation" / "se-lcn-none-none.csv").set_index(["metric", "fold_part"])
    comparison = pd.read_csv(tiny_run / "evaluation" / "comparison.csv").set_index(["metric", "fold_part"])
    row = table.loc["se-lcn-none-none"]
    assert row["balanced_accuracy"] == figures.loc[("balanced_accuracy", "test"), "value"]
    assert row["difference"] == comparison.loc[("balanced_accuracy", "test"), "value"]
    assert table["difference"].isna().tolist() == [True, False]
