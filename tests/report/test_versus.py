"""Two runs side by side: their figures, their paired difference, and what was set otherwise."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from selcn.config import dump_config
from selcn.report import open_run, write_versus


def words(path: Path) -> str:
    """The page's text without its markup."""
    source = path.read_text(encoding="utf-8")
    body = re.sub(r"<(style|script)>.*?</\1>", "", source, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_a_run_against_itself_differs_in_nothing(whole_run: Path, tmp_path: Path) -> None:
    write_versus(whole_run, whole_run, tmp_path / "versus.html", resamples=50)
    text = words(tmp_path / "versus.html")
    row = pd.read_csv(whole_run / "evaluation" / "se-lcn-none-none.csv").iloc[0]
    assert text.count(f"{row['value']:.3f} balanced accuracy, 95 % interval") == 2
    assert "no difference is shown" in text
    assert "All settings are the same." in text
    assert "different data" not in text


def test_runs_of_other_images_are_not_paired(make_run: Callable[..., Path], whole_run: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", test=False)
    config = open_run(other).config
    changed = config.model_copy(update={"seed": 12})
    (other / "config.yaml").write_text(dump_config(changed), encoding="utf-8")
    write_versus(whole_run, other, tmp_path / "versus.html", resamples=50)
    text = words(tmp_path / "versus.html")
    assert "The runs are of different data" in text
    assert "Not paired: " in text
    assert "in only one of A and B" in text
    assert "seed 11 12" in text
