"""Runs of parts of a cascade, on catalogs that hold only what those parts need."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import selcn
from selcn.cli import app
from selcn.config import dump_config
from selcn.data.catalog import read_catalog, write_catalog
from selcn.explain.runner import write_saliency
from selcn.report import refresh_report
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import Run
from selcn.runs.saliency_jobs import open_job

Networks = dict[str, dict[str, Any]]
PipelineOf = Callable[..., Pipeline]


@pytest.fixture
def catalog_with(tiny_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny run's catalog with other columns."""

    def write(rows: int = 64, **columns: Any) -> Path:
        table = read_catalog(tiny_run / "data" / "catalog.csv").assign(**columns)
        write_catalog(table[:rows], tmp_path / "catalog.csv")
        return tmp_path / "catalog.csv"

    return write


def metrics(run: Run, network: str) -> pd.DataFrame:
    return pd.read_csv(run.folder.metrics(network))


def test_a_segmenter_needs_masks_alone_and_is_evaluated_explained_bundled_and_reported(
    catalog_with: Callable[..., Path], tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    catalog = catalog_with(diagnosis="", symmetry="")
    run = pipeline_of(catalog, tmp_path / "run", {"lesion": small_networks["lesion"]}).run()
    table = metrics(run, "lesion")
    assert set(table["fold_part"]) == {"test", "validation"}
    assert refresh_report(run.folder.path).stat().st_size > 10_000
    job = open_job(run.folder.path)
    write_saliency(job.only(run.table.index.isin(run.test_rows[:3])), tmp_path / "saliency")
    assert len(pd.read_csv(tmp_path / "saliency" / "index.csv")) == 3


def test_a_symmetry_network_alone_needs_symmetry_labels_alone(
    catalog_with: Callable[..., Path], tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    catalog = catalog_with(diagnosis="", mask_path="")
    alone = {**small_networks["symmetry"], "masking": "none", "size": [32, 32]}
    run = pipeline_of(catalog, tmp_path / "run", {"symmetry": alone}).run()
    assert int(metrics(run, "symmetry").set_index(["metric", "fold_part"])["images"]["accuracy", "test"]) == len(
        run.test_rows
    )
    assert refresh_report(run.folder.path).stat().st_size > 10_000


def test_training_one_network_of_a_configuration_asks_for_what_it_needs(
    catalog_with: Callable[..., Path], tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    catalog = catalog_with(diagnosis="", symmetry="", rows=32)
    networks = {name: small_networks[name] for name in ("lesion", "symmetry", "diagnosis")}
    config, folder = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(dump_config(pipeline_of(catalog, tmp_path / "unused", networks).config))
    trained = CliRunner().invoke(app, ["train", "lesion", "--config", str(config), "--out", str(folder)])
    assert trained.exit_code == 0, trained.output
    assert sorted(path.name for path in (folder / "networks" / "lesion").iterdir()) == ["fold-0", "fold-1"]
    refused = CliRunner().invoke(app, ["train", "symmetry", "--config", str(config), "--out", str(folder)])
    assert "network symmetry: no image has a class of label set symmetry-binary" in str(refused.exception)


def test_an_external_test_source_is_scored_by_what_labels_it_has(
    catalog_with: Callable[..., Path],
    tiny_run: Path,
    tmp_path: Path,
    small_networks: Networks,
    pipeline_of: PipelineOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    strange = table.index % 4 == 0
    kept = {name: table[name].where(~strange, "") for name in ("mask_path", "symmetry")}
    only_nevi = table["diagnosis"].where(~strange | (table["diagnosis"] == "nv"), "")
    catalog = catalog_with(rows=96, source=["b" if one else "a" for one in strange], **kept, diagnosis=only_nevi)
    plain = small_networks["plain"]
    networks = {
        "lesion": small_networks["lesion"],
        "symmetry": {**plain, "labels": "symmetry-binary"},
        "diagnosis": {**plain, "masking": "lae"},
    }
    caplog.set_level(logging.INFO)
    split = {"protocol": "external", "test_sources": ["b"], "folds": 2, "duplicates": False}
    pipeline = pipeline_of(catalog, tmp_path / "run", networks, split=split)
    pipeline.prepare()
    nevi, tested = int((only_nevi[strange] == "nv").sum()), int(strange.sum())
    assert f"network lesion: 0 of {tested} test images have a mask_path" in caplog.text
    assert f"network symmetry: 0 of {tested} test images have a class of label set symmetry-binary" in caplog.text
    assert f"network diagnosis: {nevi} of {tested} test images have a class of label set ham10000" in caplog.text
    run = pipeline.run()
    for name in ("lesion", "symmetry"):
        assert set(metrics(run, name)["fold_part"]) == {"validation"}, name
    table = metrics(run, "diagnosis")
    (accuracy,) = table[(table["metric"] == "accuracy") & (table["fold_part"] == "test")].to_dict("records")
    predicted = run.predictions("diagnosis").table
    alone = predicted[predicted["fold"] == "test"]
    assert len(alone) == accuracy["images"] == nevi
    assert accuracy["value"] == pytest.approx((alone[run.labels("diagnosis").names].idxmax(axis=1) == "nv").mean())
    assert refresh_report(run.folder.path).stat().st_size > 10_000
    assert list(selcn.load(run.folder.bundle).config.networks) == ["lesion", "symmetry", "diagnosis"]


def test_an_external_test_source_without_any_label_ends_in_a_bundle(
    catalog_with: Callable[..., Path], tiny_run: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    strange = table.index % 4 == 0
    catalog = catalog_with(
        rows=96,
        source=["b" if one else "a" for one in strange],
        diagnosis=table["diagnosis"].where(~strange, ""),
        mask_path="",
    )
    split = {"protocol": "external", "test_sources": ["b"], "folds": 2, "duplicates": False}
    run = pipeline_of(catalog, tmp_path / "run", {"plain": small_networks["plain"]}, split=split).run()
    assert set(metrics(run, "plain")["fold_part"]) == {"validation"}
    assert selcn.load(run.folder.bundle).config.reliability is not None


def test_validation_rows_without_labels_leave_the_test_subset_scored(
    catalog_with: Callable[..., Path], tiny_run: Path, tmp_path: Path, pipeline_of: PipelineOf
) -> None:
    """A taken network in a run whose folds have no labels: figures of the test subset alone."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    strange = table.index % 4 == 0
    renamed = {name: "x-" + table[name] for name in ("image_id", "lesion_id")}
    catalog = catalog_with(
        source=["b" if one else "a" for one in strange],
        **renamed,
        patient_id="",
        diagnosis="",
        mask_path=table["mask_path"].where(strange & (table.index < 12), ""),
        symmetry=table["symmetry"].where(strange, ""),
        rows=32,
    )
    bundle = str(tiny_run / "bundle")
    split = {"protocol": "external", "test_sources": ["b"], "folds": 2, "duplicates": False}
    networks = {name: {"from": bundle} for name in ("lesion", "symmetry")}
    run = pipeline_of(catalog, tmp_path / "run", networks, split=split).run()
    for name in networks:
        assert set(metrics(run, name)["fold_part"]) == {"test"}, name
    assert refresh_report(run.folder.path).stat().st_size > 10_000
