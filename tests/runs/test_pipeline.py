import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.config import CatalogSource, RunConfig, SplitSection
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.splits.split import read_split
from selcn.data.store.store import open_store
from selcn.errors import ConfigError, DataError, RunError
from selcn.evaluation import compare, evaluate_file
from selcn.runs import pipeline as pipeline_module
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step


def changed(config: RunConfig, **keys: object) -> RunConfig:
    """A configuration, validated anew, with other values."""
    return RunConfig(**{**{key: getattr(config, key) for key in RunConfig.model_fields}, **keys})


def with_network(config: RunConfig, name: str, **keys: object) -> RunConfig:
    section = config.networks[name].model_copy(update=keys)
    return changed(config, networks={**config.networks, name: section})


def test_predictions_hold_every_labelled_image_once(tiny_run: Path) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    parts = json.loads((tiny_run / "split" / "split.json").read_text())["images"]
    for name in ("diagnosis-standalone", "diagnosis", "lesion", "symmetry"):
        predictions = pd.read_csv(tiny_run / "predictions" / f"{name}.csv", dtype={"fold": str})
        assert sorted(predictions["image_id"]) == sorted(table["image_id"])
        assert predictions["fold"].tolist() == [parts[image]["part"] for image in predictions["image_id"]]


def test_every_metric_comes_from_the_prediction_files(tiny_run: Path) -> None:
    for path in (tiny_run / "predictions").glob("*.csv"):
        metrics = pd.read_csv(tiny_run / "evaluation" / path.name)
        pd.testing.assert_frame_equal(metrics, evaluate_file(path, resamples=100))
    a, b = (tiny_run / "predictions" / f"{name}.csv" for name in ("diagnosis-standalone", "diagnosis"))
    difference = compare(a, b, resamples=100)
    recorded = pd.read_csv(tiny_run / "evaluation" / "comparison.csv")
    pd.testing.assert_frame_equal(recorded[difference.columns], difference)


def test_a_finished_run_is_not_repeated_and_another_config_is_refused(
    tiny_run: Path, tiny_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    monkeypatch.setattr(pipeline_module, "fit", None)
    Pipeline(tiny_config, tiny_run).run()
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before
    with pytest.raises(RunError, match=r"another configuration \(networks.symmetry.batch, seed differ\)"):
        Pipeline(changed(with_network(tiny_config, "symmetry", batch=9), seed=9), tiny_run)


def test_a_step_that_failed_leaves_nothing_under_its_final_name(tiny_config: RunConfig, tmp_path: Path) -> None:
    pipeline, step = Pipeline(tiny_config, tmp_path / "run"), Step(Kind.OUTPUTS, "lesion")

    def half(work: Path, _: object) -> None:
        (work / "half").write_text("written")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        pipeline.executor.do(step, half)
    assert not (tmp_path / "run" / "outputs" / "lesion").exists()

    def whole(work: Path, _: object) -> None:
        (work / "whole").write_text("written")

    done = pipeline.executor.do(step, whole)
    assert done == tmp_path / "run" / "outputs" / "lesion"
    assert sorted(path.name for path in done.iterdir()) == ["step.json", "whole"]


def test_a_split_and_a_store_made_by_hand_are_used_as_they_are(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    path, store = tiny_run / "split" / "split.json", tiny_run / "store" / "arrays"
    config = changed(
        tiny_config,
        data=CatalogSource(source="catalog", path=tiny_run / "data" / "catalog.csv"),
        split=SplitSection(folds=9, path=path),
        prepare=tiny_config.prepare.model_copy(update={"store": store}),
    )
    run = Pipeline(config, tmp_path / "run").prepare()
    assert run.split == read_split(path, table)
    assert (run.store.images == open_store(store, table).images).all()
    assert not (tmp_path / "run" / "store").exists()
    other = changed(config, prepare=config.prepare.model_copy(update={"size": (96, 96)}))
    with pytest.raises(ConfigError, match=r"holds 64x48 images with hair True; set prepare.size"):
        Pipeline(other, tmp_path / "other").prepare()


def test_wrong_names_end_a_run_before_its_first_step_and_can_be_corrected(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    for network, keys, said in (
        ("diagnosis", {"backbone": "resnet10x"}, "resnet10x"),
        ("symmetry", {"weights": str(tmp_path / "absent.safetensors")}, r"absent\.safetensors"),
        ("symmetry", {"masking": "ring"}, "masking 'ring': unknown; known are none, segmentation, lae"),
        ("symmetry", {"saliency": "guess"}, r"saliency 'guess': unknown; known are grad-cam\+\+"),
    ):
        with pytest.raises(ConfigError, match=said):
            Pipeline(with_network(tiny_config, network, **keys), tmp_path / "run").run()
    nowhere = changed(tiny_config, data=CatalogSource(source="catalog", path=tmp_path / "absent.csv"))
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        Pipeline(nowhere, tmp_path / "run").run()
    Pipeline(tiny_config, tmp_path / "run")  # nothing has finished, so the corrected one is welcome


def test_two_processes_in_one_run_folder_are_refused(tiny_config: RunConfig, tmp_path: Path) -> None:
    first = Pipeline(tiny_config, tmp_path / "run")
    with pytest.raises(RunError, match=r"run: another process works in it; wait for it or choose another --out"):
        Pipeline(tiny_config, tmp_path / "run")
    del first
    Pipeline(tiny_config, tmp_path / "run")


def test_each_members_own_metrics_and_the_ensembles_are_written(tiny_run: Path) -> None:
    table = pd.read_csv(tiny_run / "evaluation" / "cross_validation.csv")
    wanted = {"name": "diagnosis", "metric": "accuracy", "fold_part": "test"}
    row = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)].iloc[0]
    members = [pd.read_csv(tiny_run / "predictions" / "members" / f"diagnosis-fold-{fold}.csv") for fold in (0, 1)]
    classes = ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
    right = [(member[classes].idxmax(axis=1) == member["truth"]).mean() for member in members]
    assert [row["fold-0"], row["fold-1"]] == pytest.approx(right)
    assert row["mean"] == pytest.approx(np.mean(right))
    assert row["sd"] == pytest.approx(np.std(right, ddof=1))
    whole = pd.read_csv(tiny_run / "predictions" / "diagnosis.csv", dtype={"fold": str})
    whole = whole[whole["fold"] == "test"]
    assert row["mean_probability"] == pytest.approx((whole[classes].idxmax(axis=1) == whole["truth"]).mean())
    mean = pd.concat(members).groupby("image_id")[classes].mean()
    assert whole.set_index("image_id")[classes].to_numpy() == pytest.approx(
        mean.loc[whole["image_id"]].to_numpy(), abs=1e-7
    )


def test_a_batch_larger_than_a_fold_ends_a_run_at_once(tiny_config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"symmetry.batch is 64, but \d+ labelled images .* without fold 0; lower it"):
        Pipeline(with_network(tiny_config, "symmetry", batch=64), tmp_path / "run").run()


def test_a_profile_says_where_an_epoch_goes_and_leaves_nothing(tiny_run: Path, tiny_config: RunConfig) -> None:
    before = sorted(tiny_run.rglob("*"))
    pipeline = Pipeline(tiny_config, tiny_run)
    table = pipeline.profile(pipeline.prepare(), Step(Kind.TRAIN, "symmetry", 0))
    assert table["share"].sum() == pytest.approx(1)
    seconds = dict(zip(table["part"], table["seconds"], strict=True))
    assert min(seconds.values()) > -0.01
    assert seconds["forward and loss"] > seconds["waiting for data"] > 0
    assert sorted(tiny_run.rglob("*")) == before


def test_three_symmetries_of_a_catalog_that_knows_two_are_refused(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    two = table.assign(symmetry=table["symmetry"].replace({"one-axis": "symmetric", "two-axes": "symmetric"}))
    path = tmp_path / "catalog.csv"
    write_catalog(two, path)
    tree = tiny_config.model_dump(mode="json")
    tree["networks"]["symmetry"]["labels"] = "symmetry"
    tree["data"] = {"source": "catalog", "path": str(path)}
    with pytest.raises(DataError, match=r"class one-axis has no training image in this fold; .* label set without it"):
        Pipeline(RunConfig.model_validate(tree), tmp_path / "run").run()


PLAIN = {"task": "classification", "backbone": "test_resnet", "size": [32, 32], "epochs": 1, "batch": 8}


@pytest.fixture
def bare_catalog(tiny_run: Path, tmp_path: Path) -> Path:
    """A catalog without masks and symmetry labels, with a column of another criterion."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    dark = table["diagnosis"].isin(["mel", "bkl"]).map({True: "present", False: "absent"})
    write_catalog(table.assign(mask_path="", symmetry="", streaks=dark), tmp_path / "bare.csv")
    return tmp_path / "bare.csv"


def run_of(catalog: Path, networks: dict[str, object], folder: Path, **more: object) -> Pipeline:
    tree = {
        "data": {"source": "catalog", "path": str(catalog)},
        "split": {"folds": 2, "test": 0.25, "duplicates": False},
        "prepare": {"size": [64, 48], "hair": False},
        "networks": networks,
        "resamples": 100,
        **more,
    }
    return Pipeline(RunConfig.model_validate(tree), folder)


def test_a_plain_classifier_needs_neither_masks_nor_symmetry_nor_a_segmenter(
    bare_catalog: Path, tmp_path: Path
) -> None:
    pipeline = run_of(bare_catalog, {"diagnosis": {**PLAIN, "labels": "ham10000"}}, tmp_path / "run")
    run = pipeline.run()
    assert sorted(path.name for path in (tmp_path / "run" / "networks").iterdir()) == ["diagnosis"]
    config = json.loads((tmp_path / "run" / "bundle" / "config.json").read_text())
    assert list(config["networks"]) == ["diagnosis"]
    assert len(run.predictions("diagnosis").table) == len(run.table)
    masks = {"lesion": {"task": "segmentation", "architecture": "Unet", "encoder": "tu-test_resnet"}}
    with pytest.raises(ConfigError, match="network lesion: no image has a mask_path; fill in the catalog or leave"):
        run_of(bare_catalog, masks, tmp_path / "masks").run()
    symmetry = {"symmetry": {**PLAIN, "labels": "symmetry-binary"}}
    with pytest.raises(ConfigError, match="network symmetry: no image has a symmetry of label set symmetry-binary"):
        run_of(bare_catalog, symmetry, tmp_path / "symmetry").run()


def test_another_criterion_is_one_entry_of_the_configuration(bare_catalog: Path, tmp_path: Path) -> None:
    networks = {
        "streaks": {**PLAIN, "labels": {"name": "streaks", "classes": ["absent", "present"], "column": "streaks"}},
        "diagnosis": {**PLAIN, "labels": "ham10000", "reads": {"streaks": "concat"}},
    }
    run = run_of(bare_catalog, networks, tmp_path / "run", compare={"diagnosis": ["zero"]}).run()
    truths = run.predictions("streaks").table.set_index("image_id")["truth"]
    assert truths.to_dict() == dict(zip(run.table["image_id"], run.table["streaks"], strict=True))
    saliency = np.load(tmp_path / "run" / "outputs" / "streaks" / "saliency.npy")
    assert len(saliency) == len(run.table)
    config = json.loads((tmp_path / "run" / "bundle" / "config.json").read_text())
    assert list(config["networks"]) == ["streaks", "diagnosis"]
    assert config["networks"]["diagnosis"]["reads"] == {"streaks": "concat"}
    ulcers = {**networks["streaks"], "labels": {"classes": ["absent", "present"], "column": "ulcers"}}
    other = run_of(bare_catalog, {"ulcers": ulcers}, tmp_path / "other")
    with pytest.raises(ConfigError, match="network ulcers: the catalog has no column ulcers; it holds image_id"):
        other.run()


def test_a_segmenter_alone_is_trained_scored_and_bundled(tiny_run: Path, tmp_path: Path) -> None:
    lesion = {"task": "segmentation", "architecture": "Unet", "encoder": "tu-test_resnet", "epochs": 1, "batch": 8}
    run = run_of(tiny_run / "data" / "catalog.csv", {"lesion": lesion}, tmp_path / "run").run()
    scores = run.scores()
    assert scores is not None
    assert len(scores) == len(run.table)
    masks = np.load(tmp_path / "run" / "outputs" / "lesion" / "masks.npy")
    truth, row = np.asarray(run.store.masks) > 0, run.table["image_id"].tolist().index(scores["image_id"].iloc[-1])
    union = ((masks[row] > 0) | truth[row]).sum()
    assert scores["jaccard"].iloc[-1] == pytest.approx(((masks[row] > 0) & truth[row]).sum() / union)
    assert json.loads((tmp_path / "run" / "bundle" / "config.json").read_text())["target"] == "lesion"


def test_an_interrupted_run_ends_with_the_predictions_of_an_unbroken_one(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    for name in ("data", "split", "store"):
        shutil.copytree(tiny_run / name, folder / name)
    shutil.copy(tiny_run / "config.yaml", folder / "config.yaml")
    whole, asked = pipeline_module.write_outputs, []

    def killed(run: object, network: str, *more: object) -> None:
        asked.append(network)
        if asked.count("symmetry") == 1 and network == "symmetry":
            raise KeyboardInterrupt
        whole(run, network, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline_module, "write_outputs", killed)
    with pytest.raises(KeyboardInterrupt):
        Pipeline(tiny_config, folder).run()
    Pipeline(tiny_config, folder).run()
    assert asked.count("lesion") == 1
    for path in sorted((tiny_run / "predictions").rglob("*.csv")):
        assert path.read_bytes() == (folder / path.relative_to(tiny_run)).read_bytes(), path.name
