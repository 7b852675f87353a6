"""What a run's images tell goes behind what its catalog says, and its subgroups are those of these facts."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.data.appearance import measure_appearance
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging.read import read_image
from selcn.runs.facts import run_facts
from selcn.runs.run import open_run


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run; a file must be replaced, not written into, for its bytes are shared."""
    unused = shutil.ignore_patterns("facts")
    return Path(shutil.copytree(tiny_run, tmp_path / "run", copy_function=os.link, ignore=unused))


def test_facts_are_those_of_the_test_images(copy: Path) -> None:
    run = open_run(copy)
    facts = run_facts(run).set_index("image_id")
    assert facts.index.tolist() == run.table["image_id"].iloc[run.test_rows].tolist()
    for row in run.test_rows[:3]:
        entry, mask = run.table.iloc[row], np.asarray(run.store.masks[row]) > 0
        found = facts.loc[entry["image_id"]]
        expected = measure_appearance(read_image(Path(entry["image_path"])), mask)
        assert {name: found[name] for name in expected if name != "ita"} == {
            name: word for name, word in expected.items() if name != "ita"
        }
        assert float(found["ita"] or "nan") == pytest.approx(float(expected["ita"]), abs=0.06, nan_ok=True)
        assert float(found["lesion_share"]) == pytest.approx(mask.mean(), abs=1e-4)
    (copy / "data" / "phantom" / "images").rename(copy / "gone")
    pd.testing.assert_frame_equal(run_facts(run), facts.reset_index()[run_facts(run).columns])  # not measured again


def test_labels_go_before_estimates_and_unreadable_images_are_unknown(copy: Path) -> None:
    table = read_catalog(copy / "data" / "catalog.csv")
    catalog = copy / "data" / "catalog.csv"
    catalog.unlink()
    tones = ["3", "4"] * (len(table) // 2)
    write_catalog(table.assign(image_path="nowhere.png", hair="present", skin_tone_class=tones), catalog)
    facts = run_facts(open_run(copy))
    assert "ita" not in facts
    assert set(facts["hair"]) == {"present"}
    assert set(facts["ink"]) == {""}
    assert (facts["lesion_share"] != "").all()


def test_the_command_gives_subgroups_of_a_run(
    copy: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(copy)
    assert command("evaluate", copy, "--by", "lesion_share", "--by", "vignette", "--network", "lesion", "--json") == 0
    rows = pd.DataFrame(json.loads(capsys.readouterr().out))
    quartiles = rows[rows["of"] == "lesion_share"]
    assert quartiles["images"].tolist() == [len(quarter) for quarter in np.array_split(run.test_rows, 4)]
    scores, facts = run.scores(), run_facts(run).set_index("image_id")
    assert scores is not None
    tested = scores[scores["fold"] == "test"]
    small = tested[
        tested["image_id"].map(facts["lesion_share"].astype(float))
        <= facts["lesion_share"].astype(float).quantile(0.25)
    ]
    assert quartiles["value"].iloc[0] == pytest.approx(small["dice"].mean())
    assert quartiles["gap"].iloc[0] == pytest.approx(tested["dice"].mean() - small["dice"].mean())
    assert command("evaluate", copy, "--by", "vignette") == 0
    assert "gap_low" in capsys.readouterr().out
    assert command("evaluate", copy, "--by", "vignette", "--catalog", "c.csv") == 2
    assert "--catalog" in capsys.readouterr().err
    assert command("evaluate", copy, "--by", "moon") == 2
    assert "the catalog has no column moon" in capsys.readouterr().err
