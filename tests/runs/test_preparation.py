"""A run keeps to the catalog, the split and the store it began with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selcn.config import CatalogSource, RunConfig, SplitSection, changed_config
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.splits.protocols import grouped_split
from selcn.data.splits.split import EXCLUDED, read_split, write_split
from selcn.errors import DataError, RunError
from selcn.labels import TEST, Protocol
from selcn.report import write_report
from selcn.report.page import open_predictor
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import open_run


@pytest.fixture
def catalog(tiny_run: Path, tmp_path: Path) -> Path:
    write_catalog(read_catalog(tiny_run / "data" / "catalog.csv"), tmp_path / "catalog.csv")
    return tmp_path / "catalog.csv"


def config_of(tiny_config: RunConfig, catalog: Path, split: SplitSection) -> RunConfig:
    return changed_config(tiny_config, data=CatalogSource(source="catalog", path=catalog), split=split)


def test_a_run_refuses_a_split_that_was_made_anew(tiny_config: RunConfig, catalog: Path, tmp_path: Path) -> None:
    table, path = read_catalog(catalog), tmp_path / "split.json"
    write_split(grouped_split(table, folds=2, seed=1), table, path)
    config = config_of(tiny_config, catalog, SplitSection(path=path))
    first = Pipeline(config, tmp_path / "run").prepare(check=False).split
    assert Pipeline(config, tmp_path / "run").prepare(check=False).split == first
    write_split(grouped_split(table, folds=2, seed=2), table, path)
    with pytest.raises(RunError, match=r"split\.json: was changed since .*run began with it; put it back"):
        _ = Pipeline(config, tmp_path / "run").prepare(check=False).split
    path.unlink()
    assert Pipeline(config, tmp_path / "run").prepare(check=False).split == first, (
        "a run that was moved has its own copy"
    )


def test_a_run_refuses_a_catalog_whose_labels_changed(tiny_config: RunConfig, catalog: Path, tmp_path: Path) -> None:
    config = config_of(tiny_config, catalog, SplitSection(folds=2, test=0.25, duplicates=False))
    _ = Pipeline(config, tmp_path / "run").prepare(check=False).table
    table = read_catalog(catalog)
    table.loc[0, "diagnosis"] = "vasc" if table["diagnosis"][0] != "vasc" else "df"
    write_catalog(table, catalog)
    with pytest.raises(RunError, match=r"catalog\.csv: was changed since"):
        _ = Pipeline(config, tmp_path / "run").prepare(check=False).table


def test_a_store_of_another_catalog_is_refused(
    tiny_config: RunConfig, tiny_run: Path, catalog: Path, tmp_path: Path
) -> None:
    write_catalog(read_catalog(catalog).iloc[1:], catalog)
    prepare = tiny_config.prepare.model_copy(update={"store": tiny_run / "store" / "arrays"})
    config = config_of(tiny_config, catalog, SplitSection(folds=2, duplicates=False))
    with pytest.raises(DataError, match="was prepared from another catalog"):
        _ = Pipeline(changed_config(config, prepare=prepare), tmp_path / "run").prepare(check=False).store


def test_a_bundle_of_another_split_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = open_run(tiny_run)
    tree = json.loads((tiny_run / "bundle" / "config.json").read_text())
    assert tree["split"] == run.split.fingerprint
    assert open_predictor(run).config.split == run.split.fingerprint
    table = run.table
    write_split(grouped_split(table, folds=2, test=0.25, seed=9), table, tmp_path / "other.json")
    other = type(run)(run.folder, run.config, table, read_split(tmp_path / "other.json", table))
    with pytest.raises(RunError, match="bundle: was trained on another split"):
        open_predictor(other)


@pytest.mark.parametrize("protocol", [Protocol.THESIS, Protocol.EXTERNAL])
def test_the_whole_cascade_runs_under_every_protocol(
    tiny_run: Path,
    tmp_path: Path,
    protocol: Protocol,
    small_networks: dict[str, dict[str, Any]],
    pipeline_of: Callable[..., Pipeline],
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    known = table["diagnosis"].value_counts()
    table = table[table["diagnosis"].isin(known.index[known >= 8])].reset_index(drop=True)
    lesions = table["lesion_id"].unique()
    table["source"] = table["lesion_id"].map(lambda lesion: "theirs" if lesion in lesions[::4] else "ours")
    table.loc[table.index[-1], ["lesion_id", "source"]] = [lesions[0], "ours"]  # a lesion that both sources show
    write_catalog(table, tmp_path / "catalog.csv")
    sources = ("theirs",) if protocol is Protocol.EXTERNAL else ()
    split = {"protocol": protocol.value, "folds": 2, "test": 0.25, "test_sources": sources}
    networks = {name: small_networks[name] for name in ("lesion", "symmetry")}
    networks["diagnosis"] = {**small_networks["diagnosis"], "balance": 8}
    run = pipeline_of(tmp_path / "catalog.csv", tmp_path / "run", networks, split=split).run()
    predictions = pd.read_csv(tmp_path / "run" / "predictions" / "diagnosis.csv", dtype=str)
    parts = run.split.part
    assert set(predictions["image_id"]) == {image for image, part in parts.items() if part != EXCLUDED}
    assert (EXCLUDED in parts.values()) == (protocol is Protocol.EXTERNAL)
    metrics = pd.read_csv(tmp_path / "run" / "evaluation" / "diagnosis.csv")
    assert metrics.loc[metrics["fold_part"] == TEST, "value"].notna().any()
    write_report(tmp_path / "run", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert ("This split leaks." in page) == (protocol is Protocol.THESIS)
    assert ('<th scope="row">excluded</th>' in page) == (protocol is Protocol.EXTERNAL)
