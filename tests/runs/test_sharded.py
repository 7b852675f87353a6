"""Commands shared out as jobs write what one process writes, whatever is killed on the way."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from selcn.data.catalog import write_catalog
from selcn.errors import RunError
from selcn.runs import shards
from selcn.runs.jobs import Cluster
from selcn.runs.shards import Do, do_in_jobs, do_shards

Command = Callable[..., int]
IMAGES = 40
JOBS = ("--executor", "local", "--jobs", 2)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MIN_IMAGES", 16)
    monkeypatch.setattr(shards, "WAIT", 0.0)


class OneJob:
    """In place of `selcn.runs.jobs.Jobs`: a job after the other, in this process."""

    def __init__(self, _cluster: Cluster, _folder: Path, ready: Callable[[], int], _done: Callable[[], int]) -> None:
        self.ready = ready

    def run(self, work: Callable[..., object], *arguments: object) -> None:
        """As of `Jobs`."""
        while self.ready():
            work(0, *pickle.loads(pickle.dumps(arguments)))


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "Jobs", OneJob)


@pytest.fixture
def catalog(phantom: pd.DataFrame, tmp_path: Path) -> Path:
    """The phantom with an image that cannot be read, two copies, and one image without a mask."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    table = phantom.head(IMAGES).copy()
    table["image_path"] = [
        str(shutil.copy(path, pictures / f"{n:02}{Path(path).suffix}")) for n, path in enumerate(table["image_path"])
    ]
    shutil.copy(table["image_path"][3], table["image_path"][30])
    table.loc[5, "mask_path"] = ""
    write_catalog(table, tmp_path / "catalog.csv")
    return tmp_path / "catalog.csv"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class Square:
    """Writes the squares of numbers; a job is killed once, or every time, in the shard of a number."""

    log: Path
    deadly: int = -1
    always: bool = False

    def open(self) -> Do:
        """Nothing is loaded."""

        def do(inputs: range, folder: Path) -> None:
            (folder / "squares").write_text(" ".join(str(number**2) for number in inputs))
            with self.log.open("a") as log:
                log.write(f"{inputs[0]}\n")
            if self.deadly in inputs and (self.always or not (folder / "killed").exists()):
                (folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return do


def test_killed_jobs_leave_their_shards_to_the_next(tmp_path: Path) -> None:
    work, log, seen = tmp_path / "work", tmp_path / "log", list[int]()
    with pytest.raises(RunError, match="a job failed: was killed"):
        do_in_jobs(Cluster(jobs=1, retries=0), work, "plan", range(60), Square(log, deadly=20, always=True))
    assert log.read_text().split() == ["0", "16", "16"], "the second job got nothing done"
    log.unlink()
    # Other numbers of jobs would cut other shards.
    folders = do_in_jobs(
        Cluster(jobs=3),
        work,
        "plan",
        range(60),
        Square(log, deadly=40),
        on_progress=lambda done, *_: seen.append(done),
    )
    assert sorted(map(int, log.read_text().split())) == [16, 32, 32, 48]
    parts = [(folder / "squares").read_text().split() for folder in folders]
    assert [len(part) for part in parts] == [16, 16, 16, 12]
    assert [one for part in parts for one in part] == [str(n**2) for n in range(60)]
    assert (seen[0], seen[-1]) == (16, 60)


@pytest.mark.usefixtures("_here")
def test_a_finished_shard_is_done_again_only_where_it_no_longer_holds(tmp_path: Path) -> None:
    work, log, cluster = tmp_path / "work", tmp_path / "log", Cluster(jobs=1)
    for plan in ("plan", "plan", "other"):
        do_in_jobs(cluster, work, plan, range(32), Square(log))
    assert log.read_text().split() == ["0", "16", "0", "16"]
    do_in_jobs(cluster, work, "other", range(32), Square(log), whole=lambda some, _: some[0] == 0)
    assert log.read_text().split() == ["0", "16", "0", "16", "16"]


def test_no_shard_is_done_by_two_jobs(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number:06}") for number in range(2)]
    for name in names:
        Path(f"{name}.inputs").write_bytes(pickle.dumps(range(3)))
    (tmp_path / "000001").mkdir()
    with FileLock(f"{names[0]}.lock"):
        assert do_shards(0, names, Square(tmp_path / "log")) == {"shards": 0}
    assert do_shards(0, [*names, str(tmp_path / "gone")], Square(tmp_path / "log")) == {"shards": 1}


def test_predictions_in_jobs_are_those_of_one_process_though_the_command_is_killed(
    tiny_run: Path, catalog: Path, selcn: Command, tmp_path: Path
) -> None:
    (tmp_path / "pictures" / "07x.png").write_bytes(b"no image")
    words = ["predict", tiny_run / "bundle", tmp_path / "pictures", catalog, "--table", "csv", "--masks"]
    one, jobs = tmp_path / "one", tmp_path / "jobs"
    assert selcn(*words, "--out", one) == 2, "one is no image"
    words += ["--out", jobs, *JOBS]
    script = "from selcn.runs import shards; shards.MIN_IMAGES = 16; from selcn.cli import main; main()"
    driver = subprocess.Popen([sys.executable, "-c", script, *map(str, words)], stderr=subprocess.DEVNULL)
    first = jobs / ".shards" / "000000"
    while not first.exists():
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    assert selcn(*words) == 2
    assert contents(jobs) == contents(one)
    assert len(pd.read_csv(jobs / "predictions.csv")) == 2 * IMAGES + 1
    assert len(list((jobs / "overlays").iterdir())) == 2 * IMAGES


@pytest.mark.usefixtures("_here")
def test_given_results_reach_their_images_in_jobs(
    tiny_run: Path, catalog: Path, selcn: Command, tmp_path: Path
) -> None:
    masks = pd.read_csv(catalog, keep_default_na=False)
    given = tmp_path / "given.csv"
    names = [Path(path).name for path in masks["image_path"]]
    pd.DataFrame({"image": names, "mask": masks["mask_path"]}).iloc[1::3].to_csv(given, index=False)
    words = ["predict", tiny_run / "bundle", tmp_path / "pictures", "--given", given, "--no-overlays"]
    assert selcn(*words, "--out", tmp_path / "one") == 0
    assert selcn(*words, "--out", tmp_path / "jobs", *JOBS) == 0
    assert contents(tmp_path / "jobs") == contents(tmp_path / "one")


@pytest.mark.usefixtures("_here")
def test_a_store_made_in_jobs_is_that_of_one_process(
    catalog: Path, selcn: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", catalog, "--size", "48x36"]
    broken = tmp_path / "pictures" / "20.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"no image")
    assert selcn(*words, "--out", tmp_path / "jobs", *JOBS) == 2
    assert "1 images cannot be prepared: line 22:" in " ".join(capsys.readouterr().err.split())
    broken.write_bytes(whole)
    assert selcn(*words, "--out", tmp_path / "jobs", *JOBS) == 0
    assert selcn(*words, "--out", tmp_path / "one") == 0
    assert contents(tmp_path / "jobs") == contents(tmp_path / "one")
    assert np.load(tmp_path / "jobs" / "images.npy").shape == (IMAGES, 36, 48, 3)
    assert not [path.name for path in tmp_path.glob(".*")]


@pytest.mark.usefixtures("_here")
def test_saliency_in_jobs_is_that_of_one_process(tiny_run: Path, catalog: Path, selcn: Command, tmp_path: Path) -> None:
    for source, images in ((tiny_run, []), (tiny_run / "bundle", [catalog])):
        words = ["saliency", source, *images, "--target", "mel"]
        name = source.name
        assert selcn(*words, "--out", tmp_path / name / "one") == 0
        assert selcn(*words, "--out", tmp_path / name / "jobs", *JOBS) == 0
        assert contents(tmp_path / name / "jobs") == contents(tmp_path / name / "one")
    assert len(pd.read_csv(tmp_path / "bundle" / "jobs" / "index.csv")) == IMAGES


@pytest.mark.usefixtures("_here")
def test_an_audit_in_jobs_finds_what_one_process_finds(catalog: Path, selcn: Command, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "20.png").write_bytes(b"no image")
    assert selcn("audit", catalog, "--out", tmp_path / "one.json") == 1
    assert selcn("audit", catalog, "--out", tmp_path / "jobs.json", *JOBS) == 1
    text = (tmp_path / "jobs.json").read_text()
    assert text == (tmp_path / "one.json").read_text()
    assert [kind for kind in ("duplicate-", "no-mask", "unreadable") if kind not in text] == []
    assert not [path.name for path in tmp_path.glob(".*")]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["predict", "B", "I", "--jobs", 2], "--jobs: goes with --executor"),
        (["audit", "C", "--executor", "local"], "--executor: goes with --out"),
        (["prepare", "C", "--slurm", "partition=gpu"], "--slurm: goes with --executor slurm only"),
        (["grid", "light", "--executor", "slurm", "--slurm", "partition"], "--slurm partition: write it as name=value"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: list[object], fault: str, selcn: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn(*words) == 2
    assert fault in " ".join(capsys.readouterr().err.split())
