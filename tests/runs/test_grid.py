import shutil
from pathlib import Path

import pandas as pd

from selcn.config import RunConfig
from selcn.runs.grid import ready_steps, run_in_jobs
from selcn.runs.jobs import Cluster
from selcn.runs.metrics import grid_table
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import open_run


def test_a_run_in_jobs_gets_what_one_process_gets(tiny_run: Path, tiny_config: RunConfig, tmp_path: Path) -> None:
    folder, names = tmp_path / "run", ("lesion", "symmetry")
    finished = [f"networks/{name}/fold-{fold}" for name in names for fold in (0, 1)]
    finished += [f"outputs/{name}" for name in names]
    for name in ("data", "split", "store", *finished):
        shutil.copytree(tiny_run / name, folder / name)
    shutil.copy(tiny_run / "config.yaml", folder / "config.yaml")
    run = run_in_jobs(Pipeline(tiny_config, folder), Cluster(jobs=2))
    for path in sorted((tiny_run / "predictions").rglob("*.csv")):
        other = folder / path.relative_to(tiny_run)
        pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(other), atol=1e-5)
    table = pd.read_csv(folder / "jobs" / "jobs.csv", na_filter=False)
    steps = [step for steps in table["steps"] for step in steps.split()]
    assert sorted([*steps, *finished]) == sorted(step.path for step in run.plan), "each once"
    assert (table["host"] != "").all()


def test_steps_are_ready_once_all_that_they_need_has_finished(tiny_run: Path, tmp_path: Path) -> None:
    for name in ("data", "split", "networks/lesion/fold-0"):
        shutil.copytree(tiny_run / name, tmp_path / name)
    shutil.copy(tiny_run / "config.yaml", tmp_path / "config.yaml")
    training = ["lesion/fold-1", "symmetry/fold-0", "symmetry/fold-1", "diagnosis-standalone/fold-0"]
    ready = [f"networks/{name}" for name in (*training, "diagnosis-standalone/fold-1")]
    assert [step.path for step in ready_steps(open_run(tmp_path))] == ready
    shutil.copytree(tiny_run / "networks" / "symmetry", tmp_path / "networks" / "symmetry")
    ready = [ready[0], "outputs/symmetry", *ready[3:]]
    assert [step.path for step in ready_steps(open_run(tmp_path))] == ready
    assert ready_steps(open_run(tiny_run)) == []


def test_the_grids_table_puts_each_network_beside_its_standalone(tiny_run: Path) -> None:
    table = grid_table(open_run(tiny_run), ["diagnosis-standalone", "diagnosis"]).set_index("network")
    metrics = pd.read_csv(tiny_run / "evaluation" / "diagnosis.csv").set_index(["metric", "fold_part"])
    comparison = pd.read_csv(tiny_run / "evaluation" / "comparison.csv").set_index(["metric", "fold_part"])
    row = table.loc["diagnosis"]
    assert row["balanced_accuracy"] == metrics.loc[("balanced_accuracy", "test"), "value"]
    assert row["difference"] == comparison.loc[("balanced_accuracy", "test"), "value"]
    assert table["difference"].isna().tolist() == [True, False]
