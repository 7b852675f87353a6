"""Two runs side by side: their metrics, the paired difference of their targets, and the settings that differ."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.config import dump_config
from selcn.report import open_run, write_versus
from selcn.runs.folder import RunFolder


def test_a_run_beside_one_of_more_networks_of_the_same_split(
    read_page: Callable[[Path], Any], pages: dict[str, Path], tiny_run: Path
) -> None:
    page = read_page(pages["versus"])
    row = pd.read_csv(RunFolder(tiny_run).metrics("diagnosis")).iloc[0]
    assert page.text.count(f"{row['value']:.3f} balanced accuracy, 95 % interval") == 2
    # The targets are the same networks: nothing differs.
    assert set(page.table("B − A, paired, test").rows["B − A"]) == {"+0.000 +0.000 to +0.000"}
    assert list(page.table("Diagnosis (ham10000), test").rows) == [
        "A tiny: diagnosis",
        "A tiny: diagnosis-standalone",
        "B four: diagnosis",
    ]
    assert list(page.table("Symmetry (odd, even), test").rows) == ["B four: axes"]
    assert list(page.table("Segmentation, test").rows) == ["A tiny", "B four"]
    changed = page.table("Settings that differ").rows
    assert changed["data.source"] == ["phantom", "catalog"]
    assert changed["networks.axes"][0] == ""
    assert "different" not in page.text


def test_a_run_against_itself_has_the_same_settings(lesion_run: Path, tmp_path: Path) -> None:
    write_versus(lesion_run, lesion_run, tmp_path / "versus.html")
    text = words(tmp_path / "versus.html")
    assert "All settings are the same." in text
    assert "Not paired: the target of a run is no classifier" in text
    assert "<img" not in (tmp_path / "versus.html").read_text(encoding="utf-8")


def test_targets_of_other_labels_are_not_paired(run: Path, symmetry_run: Path, tmp_path: Path) -> None:
    config = open_run(run).config.model_copy(update={"seed": 12})
    RunFolder(run).config.unlink()
    RunFolder(run).config.write_text(dump_config(config), encoding="utf-8")
    write_versus(run, symmetry_run, tmp_path / "versus.html", resamples=50)
    text = words(tmp_path / "versus.html")
    assert "Not paired: A has classes nv, mel" in text
    assert "target diagnosis symmetry" in text
    assert "seed 12 0" in text


def words(path: Path) -> str:
    """The page's text without its markup."""
    source = path.read_text(encoding="utf-8")
    body = re.sub(r"<(style|script)>.*?</\1>", "", source, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())
