"""What a checklist says of a run is what the run's files hold; every item of the papers is there once."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from selcn.cli.evidence import ChecklistName, report
from selcn.errors import ConfigError, RunError
from selcn.report.checklists import CHECKLISTS, read_checklist, write_checklist
from selcn.report.checklists.write import FACTS
from selcn.runs.facts import SKIN_LABELS
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run

PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
"""Items of TRIPOD+AI that have parts a, b, c ..., and how many."""
TRIPOD = [f"{number}{part}" for number in range(1, 28) for part in "abcdefg"[: PARTS.get(number, 0)] or [""]]
NUMBERS = {
    "tripod-ai": TRIPOD,
    "claim": [str(number) for number in range(1, 45)],
    "clear-derm": [str(number) for number in range(1, 26)],
}


def blocks(text: str) -> dict[str, str]:
    """The text of each item, by its number."""
    parts = re.split(r"^\*\*(\d+[a-g]?)\. ", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("name", CHECKLISTS)
def test_items_are_those_of_the_paper_and_their_facts_exist(name: str) -> None:
    items = [one for items in read_checklist(name).sections.values() for one in items]
    assert [one.item for one in items] == NUMBERS[name]
    assert {fact for one in items for fact in one.facts} <= set(FACTS)
    assert all(one.facts or one.authors for one in items)


def test_every_fact_is_asked_for() -> None:
    lists = [read_checklist(name) for name in CHECKLISTS]
    assert {fact for one in lists for items in one.sections.values() for item in items for fact in item.facts} == set(
        FACTS
    )


@pytest.fixture(scope="module")
def tripod(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Items of TRIPOD+AI for the tiny run."""
    out = tmp_path_factory.mktemp("checklist") / "tripod.md"
    file, filled, waiting = write_checklist(tiny_run, "tripod-ai", out)
    text = file.read_text(encoding="utf-8")
    assert f"{filled} of 52 items" in text
    assert text.count("> **Authors:**") == waiting
    return blocks(text)


def test_numbers_are_counted_from_the_runs_files(tripod: dict[str, str], tiny_run: Path) -> None:
    folder = RunFolder(tiny_run)
    table = pd.read_csv(folder.catalog, dtype=str).set_index("image_id")
    predictions = pd.read_csv(folder.prediction_file("diagnosis"), dtype={"fold": str})
    tested = predictions[predictions["fold"] == "test"]
    classes = [name for name in predictions.columns if name not in ("image_id", "group", "fold", "truth")]
    counts = tested["truth"].value_counts()
    row = next(line for line in tripod["10"].splitlines() if line.startswith("| test"))
    expected = [len(tested), tested["group"].nunique(), *(counts.get(name, 0) for name in classes)]
    assert row == f"| test | {' | '.join(map(str, expected))} |"
    assert f"phantom: {len(table)} images of {table['lesion_id'].nunique()} lesions" in tripod["5a"]
    score = balanced_accuracy_score(tested["truth"], tested[classes].idxmax(axis=1))
    assert f"| diagnosis | balanced accuracy | test | {score:.3f} |" in tripod["23a"]
    assert open_run(tiny_run).split.fingerprint[:12] in tripod["5a"]
    assert "resnet10t with a linear head, fusing the saliency of symmetry" in tripod["12c"]
    assert "See item 10." in tripod["21"].splitlines()


def test_images_without_lesions_are_counted_beside_their_groups(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    groups = {image: f"image:{image}" for image in run.split.group}
    alone = replace(run, split=replace(run.split, group=groups | dict.fromkeys(list(groups)[:2], "image:one")))
    rows = FACTS["sample"](alone)
    assert rows[0].startswith("| subset | images | groups |")
    assert sum(int(row.split(" | ")[1]) for row in rows[2:]) == len(run.table)
    assert f"{len(run.table)} images of {len(run.table) - 1} groups" in FACTS["sources"](alone)[0]


@pytest.mark.parametrize("column", [*SKIN_LABELS, "ita", "Monk_Skin_Tone"])
def test_every_column_of_skin_is_told(tiny_run: Path, column: str) -> None:
    run = open_run(tiny_run)
    assert FACTS["skin_tone"](run) == ["The catalog holds no skin tone."]
    known = replace(run, table=run.table.assign(**{column: ["3", *["4"] * (len(run.table) - 1)]}))
    (line,) = FACTS["skin_tone"](known)
    assert line.startswith(f"Column `{column}`: 4 {len(run.table) - 1}, 3 1; known of")


def test_failures_are_counted(tiny_run: Path, tmp_path: Path) -> None:
    claim = blocks(write_checklist(tiny_run, "claim", tmp_path / "c.md")[0].read_text(encoding="utf-8"))
    run = open_run(tiny_run)
    tested = run.predictions("diagnosis").table.query("fold == 'test'")
    wrong = (tested[run.labels("diagnosis").names].idxmax(axis=1) != tested["truth"]).sum()
    assert f"{wrong} of {len(tested)} images of test are predicted wrongly" in claim["39"]
    seconds = sum(run.folder.manifest(step)["seconds"] for step in run.plan if step.path.startswith("networks/"))
    twin = sum(run.folder.manifest(step)["seconds"] for step in run.plan if "standalone/fold" in step.path)
    assert f"({seconds - twin:.0f} seconds; " in claim["25"]


@pytest.mark.parametrize("run_name", ["bare_run", "lesion_run", "symmetry_run"])
def test_runs_that_lack_much_say_so(run_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run = request.getfixturevalue(run_name)
    for name in CHECKLISTS:
        text = write_checklist(run, name, tmp_path / f"{name}.md")[0].read_text(encoding="utf-8")
        assert list(blocks(text)) == NUMBERS[name]
        assert "nan" not in text.split()


def test_an_unfinished_run_is_refused_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    (RunFolder(run).bundle / "step.json").unlink()
    with pytest.raises(RunError, match="step bundle has not finished"):
        write_checklist(run, "claim", tmp_path / "c.md")
    assert list(tmp_path.glob("*.md")) == []


def test_the_command_writes_into_the_run(run: Path) -> None:
    report(run, checklist=ChecklistName.CLEAR_DERM)
    assert (run / "clear-derm.md").read_text(encoding="utf-8").startswith("# CLEAR Derm for the run run\n")
    with pytest.raises(ConfigError, match="--checklist: is of one run; leave the other out"):
        report(run, run, checklist=ChecklistName.CLEAR_DERM)
