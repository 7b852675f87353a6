import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selcn.errors import ConfigError, RunError
from selcn.runs.jobs import Cluster, Jobs

PIECES = 5


def finish_pieces(_number: int, folder: str, fault: str) -> dict[str, Any]:
    """Writes a file a piece; the first job of all is killed, or fails, before its third."""
    from selcn.errors import DataError

    here = Path(folder)
    first = not (here / "first").exists()
    (here / "first").touch()
    done = []
    for piece in range(PIECES):
        if (here / str(piece)).exists():
            continue
        if piece == 2 and (first or fault == "always"):
            if fault == "data":
                raise DataError("row 7 is wrong; mend it")
            os.kill(os.getpid(), signal.SIGKILL)
        (here / str(piece)).touch()
        done.append(piece)
    return {"pieces": " ".join(map(str, done))}


def jobs(folder: Path, cluster: Cluster) -> Jobs:
    def finished() -> int:
        return sum((folder / str(piece)).exists() for piece in range(PIECES))

    return Jobs(cluster, folder / "jobs", lambda: min(PIECES - finished(), 1), finished)


def test_a_killed_job_is_replaced_and_the_work_is_finished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jobs(tmp_path, Cluster(jobs=1)).run(finish_pieces, str(tmp_path), "killed")
    table = pd.read_csv(tmp_path / "jobs" / "jobs.csv")
    assert table["state"].tolist() == ["failed", "done"]
    assert table["pieces"].tolist()[1] == "2 3 4"
    assert [record.levelname for record in caplog.records if record.name == "selcn.runs.jobs"] == ["WARNING"]


def test_a_users_mistake_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a job failed: row 7 is wrong; mend it; mend the cause"):
        jobs(tmp_path, Cluster(jobs=1)).run(finish_pieces, str(tmp_path), "data")
    assert len(pd.read_csv(tmp_path / "jobs" / "jobs.csv")) == 1


def test_jobs_that_fail_too_often_in_a_row_end_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a job failed"):
        jobs(tmp_path, Cluster(jobs=1, retries=1)).run(finish_pieces, str(tmp_path), "always")
    # The first got two pieces done, the second and third none.
    assert len(pd.read_csv(tmp_path / "jobs" / "jobs.csv")) == 3


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="--executor slurm: cannot be used"):
        Cluster("slurm").start(tmp_path)
