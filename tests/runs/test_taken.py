import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import selcn
from selcn.config import load_config
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError
from selcn.inference.bundle import read_lesions
from selcn.inference.result import prepare
from selcn.labels import Fusion
from selcn.models.build import build_network
from selcn.models.start import kept_and_new
from selcn.report import refresh_report
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import open_run
from selcn.runs.starts import find_start

Networks = dict[str, dict[str, Any]]
PipelineOf = Callable[..., Pipeline]


@pytest.fixture
def strange(tiny_run: Path, tmp_path: Path) -> Path:
    """The catalog under other names, so that no lesion of it was seen; without masks and symmetry labels."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    renamed = {name: "x-" + table[name] for name in ("image_id", "lesion_id")}
    path = tmp_path / "strange.csv"
    write_catalog(table.assign(**renamed, patient_id="", mask_path="", symmetry=""), path)
    return path


def test_a_cascade_on_networks_of_a_bundle_trains_the_rest_alone(
    tiny_run: Path, strange: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    bundle, folder = tiny_run / "bundle", tmp_path / "run"
    taken = {name: {"from": str(bundle)} for name in ("lesion", "symmetry")}
    pipeline = pipeline_of(strange, folder, {**taken, "diagnosis": small_networks["diagnosis"]})
    run = pipeline.run()
    for name in taken:
        for fold in range(2):
            own, its = run.folder.training(name, fold), tiny_run / "networks" / name / f"fold-{fold}"
            weights, original = load_file(own / "network.safetensors"), load_file(its / "network.safetensors")
            assert weights.keys() == original.keys()
            assert all((weights[key] == original[key]).all() for key in weights)
            manifest = json.loads((own / "step.json").read_text())
            assert (manifest["network"], manifest["member"]) == (name, fold)
            assert manifest["fold images seen in training"] == manifest["test images seen in training"] == 0
    resolved = load_config(folder / "config.yaml")
    assert resolved.model_dump(mode="json") == pipeline.config.model_dump(mode="json")
    lesion = resolved.model_dump(mode="json")["networks"]["lesion"]
    assert set(lesion) == {"from", "overlap", "task", "architecture", "encoder", "size"}
    assert lesion["from"] == f"{bundle}#lesion"
    assert not (folder / "predictions" / "symmetry.csv").exists(), "no image has a symmetry label"
    assert len(pd.read_csv(folder / "predictions" / "diagnosis.csv")) == len(run.table)
    assert read_lesions(bundle) < read_lesions(folder / "bundle"), "its networks have seen the lesions of both"
    assert refresh_report(folder).stat().st_size > 10_000
    image = Path(run.table["image_path"].iloc[0])
    # Prepared alike: the bundle's own run removed hair, this one does not.
    prepared = prepare(read_image(image), run_config := selcn.load(folder / "bundle").config)[None]
    sizes = [run_config.prepare.size]
    mine, theirs = (selcn.load(one).predict_prepared(prepared, sizes)[0] for one in (folder / "bundle", bundle))
    assert mine["symmetry"].probabilities == pytest.approx(theirs["symmetry"].probabilities, abs=1e-6)
    assert mine["diagnosis"].probabilities != theirs["diagnosis"].probabilities


def test_a_taken_target_is_only_evaluated(
    tiny_run: Path, strange: Path, tmp_path: Path, pipeline_of: PipelineOf
) -> None:
    source = {"from": f"{tiny_run / 'bundle'}#diagnosis"}
    networks = {"dx": source, "symmetry": {"from": str(tiny_run / "bundle")}}
    table = read_catalog(strange)
    write_catalog(table.assign(diagnosis=table["diagnosis"].where(table.index < 0, "")), strange)
    run = pipeline_of(strange, tmp_path / "run", networks, target="dx").run()
    assert run.curves("dx") == []
    assert list((run.folder.path / "predictions").glob("*.csv")) == [], "no image has any label"
    assert refresh_report(run.folder.path).is_file()
    config = selcn.load(run.folder.bundle).config
    assert config.reliability is not None
    assert config.reliability.networks == {}


def test_lesions_that_a_taken_network_has_seen_are_kept_out_of_the_test_subset(
    tiny_run: Path,
    tmp_path: Path,
    small_networks: Networks,
    pipeline_of: PipelineOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    catalog, bundle = tiny_run / "data" / "catalog.csv", tiny_run / "bundle"
    images = json.loads((tiny_run / "split" / "split.json").read_text())["images"]
    parts = pd.Series({image: one["part"] for image, one in images.items()})
    networks = {"lesion": {"from": str(bundle)}, "plain": small_networks["plain"]}
    split = {"folds": 2, "test": 0.25, "duplicates": False, "seed": 1}
    run = pipeline_of(catalog, tmp_path / "open", {"plain": small_networks["plain"]}, split=split).prepare()
    tested = run.table["image_id"].iloc[run.test_rows]
    count = int((parts[tested] != "test").sum())
    assert 0 < count < len(tested)
    with pytest.raises(ConfigError, match=rf"lesion: .*#lesion was trained on {count} of the {len(tested)} test"):
        pipeline_of(catalog, tmp_path / "refused", networks, split=split).prepare()
    wanted = {**networks, "lesion": {"from": str(bundle), "overlap": True}}
    caplog.set_level(logging.INFO)
    pipeline_of(catalog, tmp_path / "wanted", wanted, split=split).prepare()
    folds = int((parts[run.table["image_id"].iloc[np.concatenate(run.fold_rows)]] != "test").sum())
    assert f"trained on {folds} images of the folds and {count} of the test subset" in caplog.text
    caplog.clear()
    same = pipeline_of(catalog, tmp_path / "same", networks, split={"path": str(tiny_run / "split" / "split.json")})
    same.prepare()
    assert "was trained on" not in caplog.text, "each member is held out from its own fold of the same split"


def test_what_does_not_fit_is_refused_in_one_line(
    tiny_run: Path, strange: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    bundle = str(tiny_run / "bundle")
    diagnosis, symmetry = {"from": bundle}, {"from": bundle}
    three = {**small_networks["symmetry"], "labels": "symmetry"}
    for networks, message in (
        ({"lesion": {"from": bundle, "epochs": 3}}, r"lesion is taken as it is from .*#lesion; remove epochs, or"),
        ({"lesion": {"from": str(tmp_path)}}, r"no bundle \(no readable config.json\)"),
        ({"other": {"from": bundle}}, r"has no network other, and several others; write .*#NAME with one of lesion, "),
        ({"other": {"from": f"{bundle}#none"}}, r"has no network none; write"),
        ({"diagnosis": diagnosis}, r"diagnosis reads symmetry, .*; add symmetry: \{from: .*bundle\}"),
        (
            {"lesion": {"from": bundle, "encoder": "resnet18"}},
            "lesion: encoder differ from lesion of",
        ),
        (
            {"symmetry": three, "diagnosis": diagnosis, "lesion": small_networks["lesion"]},
            r"reads symmetry of classes asym",
        ),
        ({"symmetry": {**symmetry, "overlap": True, "weights": None}}, "remove weights"),
    ):
        with pytest.raises((ConfigError, ValueError), match=message):
            pipeline_of(strange, tmp_path / "run", networks).prepare()
    with pytest.raises(ValueError, match="diagnosis is taken from a bundle, so that it has no twins"):
        pipeline_of(
            strange,
            tmp_path / "run",
            {"symmetry": symmetry, "diagnosis": diagnosis},
            compare={"diagnosis": ["standalone"]},
        )
    only = pipeline_of(strange, tmp_path / "only", {"other": {"from": bundle, "task": "segmentation"}})
    assert only.config.networks["other"].taken == f"{bundle}#lesion", "the only one of that task"


def test_a_training_starts_from_a_bundle_or_from_a_run_with_what_fits(
    tiny_run: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    split = {"path": str(tiny_run / "split" / "split.json")}
    base = {**small_networks["plain"], "backbone": "resnet10t"}
    two = {"name": "two", "classes": ["nv", {"name": "other", "aliases": ["mel", "bkl", "bcc", "akiec", "vasc", "df"]}]}
    networks = {
        "same": {**base, "init": str(tiny_run / "networks" / "diagnosis-standalone")},
        "two": {**base, "labels": two, "init": f"{tiny_run / 'bundle'}#diagnosis"},
    }
    pipeline = pipeline_of(tiny_run / "data" / "catalog.csv", tmp_path / "run", networks, split=split)
    run = pipeline.prepare()
    assert "network same: starts from " in caplog.text
    assert "kept: backbone, head; new: nothing" in caplog.text
    assert "kept: backbone; new: head" in caplog.text
    for fold in range(2):
        same, fewer = (run.task(name, fold).build().state_dict() for name in networks)
        alone, cascaded = (
            load_file(tiny_run / "networks" / name / f"fold-{fold}" / "network.safetensors")
            for name in ("diagnosis-standalone", "diagnosis")
        )
        assert all(torch.equal(value, alone[key]) for key, value in same.items())
        assert all(torch.equal(value, cascaded[key]) for key, value in fewer.items() if not key.startswith("head"))
        assert fewer["head.linear.weight"].shape[0] == 2
    pipeline.do(run, Step(Kind.TRAIN, "two", 1))
    manifest = run.folder.manifest(Step(Kind.TRAIN, "two", 1))
    assert (manifest["kept"], manifest["new"]) == ("backbone", "head")
    assert manifest["fold images seen in training"] == manifest["test images seen in training"] == 0


def test_reading_other_networks_makes_the_fusion_new(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    spec = run.graph.classifiers["diagnosis"].spec
    start = find_start(str(tiny_run / "networks" / "diagnosis"), "diagnosis", 3)
    assert start.file.parent.name == "fold-1", "modulo the number of folds"
    assert kept_and_new(build_network(spec), spec, start) == (["backbone", "fuse", "head"], [])
    other = spec.model_copy(update={"reads": {"streaks": Fusion.CONCAT}})
    assert kept_and_new(build_network(other), other, start) == (["backbone", "head"], ["fuse"])
    bare = replace(start, spec=None)
    assert kept_and_new(build_network(other), other, bare) == (["backbone", "fuse", "head"], []), "shapes alone"


def test_what_a_training_cannot_start_from_is_refused_before_it(
    tiny_run: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    catalog, bundle, plain = tiny_run / "data" / "catalog.csv", str(tiny_run / "bundle"), small_networks["plain"]
    (tmp_path / "text.safetensors").write_text("no weights")
    for init, message in (
        (f"{bundle}#diagnosis", "holds weights of another network .*resnet10t, not test_resnet.*; start from one like"),
        (str(tiny_run / "networks" / "lesion"), "holds weights of another network"),
        (f"{bundle}#none", "has no network none; it has lesion, symmetry, diagnosis"),
        (str(tmp_path / "absent"), "absent: no weights there; give BUNDLE#NETWORK"),
        (str(tmp_path / "text.safetensors"), "text.safetensors cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            pipeline_of(catalog, tmp_path / "run", {"plain": {**plain, "init": init}}).prepare()
    seen = {**plain, "backbone": "resnet10t", "init": str(tiny_run / "networks" / "diagnosis" / "fold-0")}
    seen["init"] += "/network.safetensors"
    with pytest.raises(ConfigError, match=r"was trained on \d+ of the 25 test images; split so .* `overlap: true`"):
        pipeline_of(catalog, tmp_path / "seen", {"plain": seen}, split={"folds": 2, "test": 0.25, "seed": 1}).prepare()
