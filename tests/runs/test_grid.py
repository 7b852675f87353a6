import shutil
from pathlib import Path

import pandas as pd

from selcn.config import RunConfig
from selcn.runs.grid import run_in_jobs
from selcn.runs.jobs import Cluster
from selcn.runs.metrics import grid_table
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import open_run


def test_a_run_in_jobs_gets_what_one_process_gets(tiny_run: Path, tiny_config: RunConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("data", "split", "store"):
        shutil.copytree(tiny_run / name, folder / name)
    shutil.copy(tiny_run / "config.yaml", folder / "config.yaml")
    run = run_in_jobs(Pipeline(tiny_config, folder), Cluster(jobs=2))
    for path in sorted((tiny_run / "predictions").rglob("*.csv")):
        other = folder / path.relative_to(tiny_run)
        pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(other), atol=1e-5)
    table = pd.read_csv(folder / "jobs" / "jobs.csv", na_filter=False)
    steps = [step for steps in table["steps"] for step in steps.split()]
    assert sorted(steps) == sorted(step.path for step in run.plan)
    assert (table["host"] != "").all()


def test_the_grids_table_puts_each_network_beside_its_standalone(tiny_run: Path) -> None:
    table = grid_table(open_run(tiny_run), ["diagnosis-standalone", "diagnosis"]).set_index("network")
    metrics = pd.read_csv(tiny_run / "evaluation" / "diagnosis.csv").set_index(["metric", "fold_part"])
    comparison = pd.read_csv(tiny_run / "evaluation" / "comparison.csv").set_index(["metric", "fold_part"])
    row = table.loc["diagnosis"]
    assert row["balanced_accuracy"] == metrics.loc[("balanced_accuracy", "test"), "value"]
    assert row["difference"] == comparison.loc[("balanced_accuracy", "test"), "value"]
    assert table["difference"].isna().tolist() == [True, False]
