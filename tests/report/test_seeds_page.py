"""The page of several seeds gives what the tables of their folder hold."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.config import dump_config
from selcn.errors import RunError
from selcn.labels import LABEL_SETS
from selcn.report import write_seed_report
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run
from selcn.runs.seeds import write_seed_tables


@pytest.fixture(scope="module")
def seeds(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two copies of the tiny run whose second one has other predictions and another seed."""
    out = tmp_path_factory.mktemp("seeds") / "both"
    runs = [out / "seed-0", out / "seed-1"]
    for seed, path in enumerate(runs):
        shutil.copytree(tiny_run, path, copy_function=os.link)
        config = open_run(path).config.model_copy(update={"seed": seed})
        RunFolder(path).config.unlink()
        RunFolder(path).config.write_text(dump_config(config), encoding="utf-8")
    generator = np.random.default_rng(0)
    for file in runs[1].glob("predictions/**/diagnosis*.csv"):
        table, names = pd.read_csv(file), LABEL_SETS["ham10000"].names
        values = table[names].to_numpy() * np.exp(generator.normal(size=(len(table), len(names))))
        table[names] = values / values.sum(axis=1, keepdims=True)
        file.unlink()
        table.to_csv(file, index=False)
    write_seed_tables(runs, out)
    return out


def test_the_page_gives_means_differences_and_variances(
    seeds: Path, read_page: Callable[[Path], Any], selcn: Callable[..., int]
) -> None:
    assert selcn("report", seeds) == 0
    page = read_page(seeds / "report.html")
    assert page.sections == ["metrics", "differences", "variance"]
    assert "2 runs of one configuration and one split" in page.text
    assert "with the seeds 0, 1." in page.text
    means, compared, variance = (pd.read_csv(seeds / f"{name}.csv") for name in ("metrics", "comparison", "variance"))
    found = [table for table in page.tables if table.caption.startswith("balanced accuracy, test")]
    wanted = "metric == 'balanced_accuracy' and fold_part == 'test'"
    row = means.query(f"{wanted} and network == 'diagnosis'").iloc[0]
    assert found[0].rows["diagnosis"] == [
        f"{row['value']:.3f} {row['low']:.3f} to {row['high']:.3f}",
        f"{row['low_seeds']:.3f} to {row['high_seeds']:.3f}",
        f"{row['seed_sd']:.3f}",
    ]
    row = compared.query(wanted).iloc[0]
    assert found[1].rows["diagnosis − diagnosis-standalone"][-2:] == [f"{row['p']:.3f}", f"{row['p_holm']:.3f}"]
    row = variance.query(f"{wanted} and network == 'diagnosis' and against.isna()").iloc[0]
    assert found[2].rows["diagnosis"][2:] == [f"{row[name]:.3f}" for name in ("lesion_sd", "seed_sd", "fold_sd")]
    assert list(found[3].rows) == ["diagnosis − diagnosis-standalone"]
    assert set(page.downloads) >= {"metrics.csv", "variance.csv", "variance-macro_auc.csv"}


def test_what_is_no_folder_of_seeds_is_refused(
    seeds: Path, tiny_run: Path, selcn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="holds no finished seeds"):
        write_seed_report(tiny_run)
    assert selcn("report", seeds, tiny_run) == 2
    assert "holds several seeds, which are on one page; leave" in capsys.readouterr().err
