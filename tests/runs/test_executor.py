"""Steps that finish, fail, are followed and are resumed."""

import json
import threading
import time
from pathlib import Path

import pytest

from selcn.config import RunConfig, add_variant, changed_config, load_config
from selcn.errors import RunError
from selcn.io.progress import OnProgress
from selcn.labels import Fusion
from selcn.runs import executor as executor_module
from selcn.runs.executor import Executor, changed_keys
from selcn.runs.folder import RunFolder
from selcn.runs.plan import Kind, Step

STEP = Step(Kind.OUTPUTS, "lesion")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def half(work: Path, _: OnProgress) -> None:
    (work / "half").write_text("written")
    raise RuntimeError("killed")


def whole(work: Path, _: OnProgress) -> dict[str, object]:
    (work / "whole").write_text("written")
    return {"images": 3}


def test_a_step_that_failed_leaves_nothing_under_its_final_name(folder: RunFolder, tiny_config: RunConfig) -> None:
    executor = Executor(folder, tiny_config)
    with pytest.raises(RuntimeError, match="killed"):
        executor.do(STEP, half)
    assert not folder.step(STEP).exists()
    assert not folder.finished(STEP)
    done = executor.do(STEP, whole)
    assert done == folder.path / "outputs" / "lesion"
    assert sorted(path.name for path in done.iterdir()) == ["step.json", "whole"]
    manifest = folder.manifest(STEP)
    assert manifest["images"] == 3
    assert manifest["seconds"] >= 0
    executor.tidy()
    assert not folder.work.exists()


def test_a_finished_step_is_not_done_again(folder: RunFolder, tiny_config: RunConfig) -> None:
    executor = Executor(folder, tiny_config)
    executor.do(STEP, whole)
    assert executor.do(STEP, half) == folder.step(STEP)


def test_a_resumable_step_finds_what_a_killed_one_left(folder: RunFolder, tiny_config: RunConfig) -> None:
    Executor(folder, tiny_config).do(Step(Kind.DATA), whole)
    for step, found in (
        (STEP, ["step.json", "whole"]),
        (Step(Kind.STORE), ["half", "step.json", "whole"]),
        (Step(Kind.TRAIN, "lesion", 1), ["half", "step.json", "whole"]),
    ):
        with pytest.raises(RuntimeError, match="killed"):
            Executor(folder, tiny_config).do(step, half)
        done = Executor(folder, tiny_config).do(step, whole)
        assert sorted(path.name for path in done.iterdir()) == found


def test_where_nothing_has_finished_a_run_begins_from_nothing(folder: RunFolder, tiny_config: RunConfig) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        Executor(folder, tiny_config).do(Step(Kind.STORE), half)
    assert folder.work.exists()
    Executor(folder, tiny_config)
    assert not folder.work.exists()


def test_a_folder_keeps_to_the_configuration_of_its_first_finished_step(
    folder: RunFolder, tiny_config: RunConfig
) -> None:
    Executor(folder, changed_config(tiny_config, seed=9))
    executor = Executor(folder, tiny_config)
    assert load_config(folder.config) == tiny_config, "nothing had finished"
    executor.do(STEP, whole)
    del executor
    symmetry = tiny_config.networks["symmetry"].model_copy(update={"batch": 9})
    other = changed_config(tiny_config, seed=9, networks={**tiny_config.networks, "symmetry": symmetry})
    with pytest.raises(RunError, match=r"another configuration \(networks.symmetry.batch, seed differ\); choose"):
        Executor(folder, other)
    assert load_config(folder.config) == tiny_config


def test_a_folder_takes_more_networks_and_keeps_those_that_it_has(folder: RunFolder, tiny_config: RunConfig) -> None:
    added, name = add_variant(tiny_config, "diagnosis", "lae", "segmentation")
    reading = added.networks[name].model_copy(update={"reads": {"lesion": Fusion.CONCAT}})
    added = changed_config(added, networks={**added.networks, name: reading})
    first = Executor(folder, tiny_config)
    outputs = [Step(Kind.OUTPUTS, network) for network in ("lesion", "symmetry")]
    for step in (*map(Step, (Kind.SPLIT, Kind.PREDICTIONS, Kind.EVALUATION)), *outputs):
        first.do(step, lambda _work, _progress: None)
    del first
    assert Executor(folder, added).config.graph.nodes.keys() == added.graph.nodes.keys()
    assert [folder.finished(Step(kind)) for kind in (Kind.SPLIT, Kind.PREDICTIONS, Kind.EVALUATION)] == [1, 0, 0]
    assert [folder.finished(step) for step in outputs] == [0, 1], "nothing read the mask before, whose map is not there"
    again = Executor(folder, tiny_config)
    assert again.config == load_config(folder.config)
    assert name in again.config.networks
    assert again.config.graph.target == "diagnosis"
    other = tiny_config.model_copy(update={"seed": 1})
    del again
    with pytest.raises(RunError, match="seed differ"):
        Executor(folder, other)


def test_two_processes_in_one_run_folder_are_refused(folder: RunFolder, tiny_config: RunConfig) -> None:
    first = Executor(folder, tiny_config)
    with pytest.raises(RunError, match=r"run: another process works in it; wait for it or choose another --out"):
        Executor(folder, tiny_config)
    Executor(folder, tiny_config, worker=True)
    del first
    Executor(folder, tiny_config)


def test_a_follower_takes_part_in_what_is_done_together_and_waits_for_the_rest(
    folder: RunFolder, tiny_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def record(work: Path, _: OnProgress) -> None:
        calls.append(str(work.relative_to(folder.work)))

    leader = Executor(folder, tiny_config)
    monkeypatch.setattr(executor_module, "rank", lambda: 1)
    monkeypatch.setattr(executor_module, "WAIT", 0.01)
    follower = Executor(folder, tiny_config)
    for step in (Step(Kind.STORE), STEP, Step(Kind.TRAIN, "symmetry", 0)):
        waiting = threading.Thread(target=follower.do, args=(step, record))
        waiting.start()
        time.sleep(0.05)
        assert waiting.is_alive(), "the first has not finished"
        leader.do(step, whole)
        waiting.join(5)
        assert not waiting.is_alive()
    assert calls == ["networks/symmetry/fold-0"]
    follower.tidy()
    assert folder.work.exists()


def test_what_a_run_was_started_with_is_kept(folder: RunFolder, tiny_config: RunConfig) -> None:
    Executor(folder, tiny_config)
    environment = json.loads(folder.environment.read_text())
    assert {"selcn", "torch", "python", "system"} <= environment.keys()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"a": 1, "b": {"c": [1]}}, {"a": 1, "b": {"c": [1]}}, []),
        ({"a": 1, "b": {"c": [1]}}, {"a": 2, "b": {"c": [1, 2]}}, ["a", "b.c"]),
        ({"a": {"b": 1}}, {"a": None}, ["a"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({}, {"a": {"b": 1}}, ["a"]),
    ],
)
def test_changed_keys_are_named_by_their_path(old: object, new: object, changed: list[str]) -> None:
    assert sorted(changed_keys(old, new)) == changed
