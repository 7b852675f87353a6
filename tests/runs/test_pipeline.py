import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import selcn
from selcn.config import CatalogSource, RunConfig, SplitSection, changed_config
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.datasets import as_floats, gather_images
from selcn.data.splits.split import read_split
from selcn.data.store.store import open_store
from selcn.errors import ConfigError, DataError, RunError
from selcn.evaluation import compare, evaluate_file
from selcn.io.progress import OnProgress
from selcn.runs import metrics as metrics_module
from selcn.runs import pipeline as pipeline_module
from selcn.runs.metrics import seed_table
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import open_run


def with_network(config: RunConfig, name: str, **keys: object) -> RunConfig:
    section = config.networks[name].model_copy(update=keys)
    return changed_config(config, networks={**config.networks, name: section})


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


def test_differences_over_seeds_are_corrected_for_the_number_of_networks(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seed_table([tiny_run, tiny_run], "diagnosis-standalone", resamples=60)
    assert set(zip(found["a"], found["b"], strict=True)) == {("diagnosis-standalone", "diagnosis")}
    files = [tiny_run / "predictions" / f"{name}.csv" for name in ("diagnosis-standalone", "diagnosis")]
    single = compare(*files, resamples=60)
    assert found["value"].tolist() == pytest.approx(single["value"].tolist(), nan_ok=True)
    assert found["p_holm"].tolist() == pytest.approx(found["p"].tolist(), nan_ok=True)  # of one network
    twice = seed_table([tiny_run], "diagnosis", ["diagnosis-standalone", "diagnosis"], resamples=60)
    own = twice[twice["b"] == "diagnosis-standalone"]
    assert own["p_holm"].dropna().tolist() == pytest.approx(np.minimum(2 * own["p"].dropna(), 1).tolist())
    with pytest.raises(ConfigError, match="has no classifier lesion"):
        seed_table([tiny_run], "diagnosis", ["lesion"], resamples=60)
    real = open_run(tiny_run)
    dealt = replace(real.split, part={name: part for name, part in real.split.part.items() if part != "1"})
    opened = iter([real, replace(real, split=dealt)])
    monkeypatch.setattr(metrics_module, "open_run", lambda _: next(opened))
    with pytest.raises(ConfigError, match="has another split"):
        seed_table([tiny_run, tiny_run], "diagnosis", resamples=60)


def test_a_finished_run_is_not_repeated(
    tiny_run: Path, tiny_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    monkeypatch.setattr(pipeline_module, "fit", None)
    Pipeline(tiny_config, tiny_run).run()
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before


def test_other_resamples_and_another_target_redo_the_evaluation_alone(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    for name in ("fit", "write_outputs", "write_prediction_files", "write_saliency_scores"):
        monkeypatch.setattr(pipeline_module, name, None)
    before = pd.read_csv(folder / "evaluation" / "lesion.csv")
    Pipeline(changed_config(tiny_config, resamples=150, target="symmetry"), folder).run()
    after = pd.read_csv(folder / "evaluation" / "lesion.csv")
    pd.testing.assert_frame_equal(after, evaluate_file(folder / "predictions" / "lesion.csv", resamples=150))
    assert after["value"].equals(before["value"])
    assert not after["low"].equals(before["low"])
    assert bundled(folder)["target"] == "symmetry"
    with pytest.raises(RunError, match=r"differ\); to go on .* --set symmetry.init=.*/networks/symmetry"):
        Pipeline(with_network(tiny_config, "symmetry", epochs=9), folder)
    with pytest.raises(RunError, match=r"\(networks.symmetry.lr, resamples, target differ\); choose"):
        Pipeline(with_network(tiny_config, "symmetry", lr=9), folder)


def test_a_split_and_a_store_made_by_hand_are_used_as_they_are(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    path, store = tiny_run / "split" / "split.json", tiny_run / "store" / "arrays"
    config = changed_config(
        tiny_config,
        data=CatalogSource(source="catalog", path=tiny_run / "data" / "catalog.csv"),
        split=SplitSection(folds=9, path=path),
        prepare=tiny_config.prepare.model_copy(update={"store": store}),
    )
    run = Pipeline(config, tmp_path / "run").prepare()
    assert run.split == read_split(path, table)
    assert (run.store.images == open_store(store, table).images).all()
    assert not (tmp_path / "run" / "store").exists()
    other = changed_config(config, prepare=config.prepare.model_copy(update={"size": (96, 96)}))
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
    nowhere = changed_config(tiny_config, data=CatalogSource(source="catalog", path=tmp_path / "absent.csv"))
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        Pipeline(nowhere, tmp_path / "run").run()
    Pipeline(tiny_config, tmp_path / "run")  # nothing has finished, so the corrected one is welcome


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


Networks = dict[str, dict[str, Any]]
PipelineOf = Callable[..., Pipeline]


@pytest.fixture
def bare_catalog(tiny_run: Path, tmp_path: Path) -> Path:
    """A catalog without masks and symmetry labels, with a column of another criterion."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    dark = table["diagnosis"].isin(["mel", "bkl"]).map({True: "present", False: "absent"})
    write_catalog(table.assign(mask_path="", symmetry="", streaks=dark), tmp_path / "bare.csv")
    return tmp_path / "bare.csv"


def bundled(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((folder / "bundle" / "config.json").read_text())
    return tree


def test_a_plain_classifier_needs_neither_masks_nor_symmetry_nor_a_segmenter(
    bare_catalog: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    folder, plain = tmp_path / "run", {"diagnosis": small_networks["plain"]}
    run = pipeline_of(bare_catalog, folder, plain).run()
    for kind in ("networks", "outputs", "explained"):
        assert [path.name for path in sorted((folder / kind).iterdir())] == ["diagnosis"], kind
    assert list(bundled(folder)["networks"]) == ["diagnosis"]
    assert len(run.predictions("diagnosis").table) == len(run.table)
    assert run.scores() is None
    image = Path(run.table["image_path"].iloc[run.test_rows[0]])
    answer = selcn.load(folder / "bundle").predict(image)
    assert answer.lesion is None
    assert list(answer["diagnosis"].probabilities) == run.labels("diagnosis").names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lesion", "network lesion: no image has a mask_path; fill in the catalog or leave it out"),
        (
            "symmetry",
            r"no image has a class of label set symmetry-binary \(symmetry is empty everywhere\); fill in the catalog",
        ),
    ],
)
def test_a_network_without_any_label_is_refused(
    bare_catalog: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf, name: str, message: str
) -> None:
    network = {key: value for key, value in small_networks[name].items() if key != "masking"}
    with pytest.raises(ConfigError, match=message):
        pipeline_of(bare_catalog, tmp_path / "run", {name: network}).run()


def test_labels_that_no_fold_could_train_on_are_the_reason_given(
    tiny_run: Path, bare_catalog: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    table, masked = read_catalog(bare_catalog), read_catalog(tiny_run / "data" / "catalog.csv")
    write_catalog(table.assign(mask_path=["", masked["mask_path"][1], *[""] * (len(table) - 2)]), bare_catalog)
    with pytest.raises(ConfigError, match=r"lesion: all 1 images with a mask_path are tested or lie in fold \d, so"):
        pipeline_of(bare_catalog, tmp_path / "run", {"lesion": small_networks["lesion"]}).run()


def test_another_criterion_is_one_entry_of_the_configuration(
    tiny_run: Path, bare_catalog: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    """A fourth network: the cascade of the thesis, and what one entry adds to it."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    write_catalog(table.assign(streaks=read_catalog(bare_catalog)["streaks"]), bare_catalog)
    labels = {"name": "streaks", "classes": ["absent", "present"], "column": "streaks"}
    reads = {"symmetry": "concat", "streaks": "attention"}
    networks = {
        **{name: small_networks[name] for name in ("lesion", "symmetry")},
        "streaks": {**small_networks["plain"], "labels": labels, "size": [64, 64]},
        "diagnosis": {**small_networks["diagnosis"], "reads": reads},
    }
    folder = tmp_path / "run"
    run = pipeline_of(bare_catalog, folder, networks).run()
    predicted = run.predictions("streaks").table.set_index("image_id")
    assert predicted["truth"].to_dict() == dict(zip(run.table["image_id"], run.table["streaks"], strict=True))
    assert predicted[["absent", "present"]].sum(axis=1).to_numpy() == pytest.approx(1)
    metrics = pd.read_csv(folder / "evaluation" / "streaks.csv").set_index(["metric", "fold_part"])
    tested = predicted[predicted["fold"] == "test"]
    right = tested[["absent", "present"]].idxmax(axis=1) == tested["truth"]
    assert metrics.loc[("accuracy", "test"), "value"] == pytest.approx(right.mean())

    maps = [torch.from_numpy(np.array(run.output(name, "saliency.npy")[run.fold_rows[1]]))[:, None] for name in reads]
    assert all(float(one.std()) > 0 for one in maps)
    member = run.cascade(1, ["lesion", "diagnosis"])
    images = as_floats(gather_images(run.store, run.fold_rows[1]))
    with torch.no_grad():
        mask = torch.from_numpy(np.array(run.output("lesion", "masks.npy")[run.fold_rows[1]]))[:, None]
        logits = member.classify("diagnosis", member.look("diagnosis", images, mask), maps).logits
    recorded = run.output("diagnosis", "probabilities.npy")[run.fold_rows[1]]
    assert logits.softmax(1).numpy() == pytest.approx(recorded, abs=1e-5)

    config = bundled(folder)
    assert list(config["networks"]) == ["lesion", "symmetry", "streaks", "diagnosis"]
    assert config["networks"]["diagnosis"]["reads"] == reads
    prediction = selcn.load(folder / "bundle").predict(Path(run.table["image_path"].iloc[0]))
    assert list(prediction["streaks"].probabilities) == ["absent", "present"]


def test_a_column_that_the_catalog_lacks_is_named(
    bare_catalog: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    ulcers = {**small_networks["plain"], "labels": {"classes": ["absent", "present"], "column": "ulcers"}}
    with pytest.raises(ConfigError, match="network ulcers: the catalog has no column ulcers; it holds image_id"):
        pipeline_of(bare_catalog, tmp_path / "run", {"ulcers": ulcers}).run()


def test_a_segmenter_alone_is_trained_scored_and_bundled(
    tiny_run: Path, tmp_path: Path, small_networks: Networks, pipeline_of: PipelineOf
) -> None:
    folder = tmp_path / "run"
    run = pipeline_of(tiny_run / "data" / "catalog.csv", folder, {"lesion": small_networks["lesion"]}).run()
    scores = run.scores()
    assert scores is not None
    masks, truth = run.output("lesion", "masks.npy") > 0, np.asarray(run.store.masks) > 0
    jaccard = (masks & truth).sum(axis=(1, 2)) / (masks | truth).sum(axis=(1, 2))
    assert scores.set_index("image_id")["jaccard"].loc[run.table["image_id"]].to_numpy() == pytest.approx(jaccard)
    config = bundled(folder)
    assert (config["target"], list(config["networks"]), config["reliability"]) == ("lesion", ["lesion"], None)
    row = int(run.test_rows[0])
    prediction = selcn.load(folder / "bundle").predict(Path(run.table["image_path"].iloc[row]))
    assert prediction.results == {}
    assert prediction.lesion is not None


class KilledError(Exception):
    """Stands for a kill that leaves no time to tidy up."""


def test_a_run_that_was_killed_twice_ends_with_the_predictions_of_an_unbroken_one(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for name in ("data", "split", "store", "networks/lesion", "outputs/lesion"):
        shutil.copytree(tiny_run / name, folder / name)
    shutil.copy(tiny_run / "config.yaml", folder / "config.yaml")
    seen: list[tuple[str, int]] = []

    def run(kill: str = "", at: int = 0) -> None:
        """Run up to the prediction files, or until a step has done so much of its work."""
        seen.clear()

        @contextmanager
        def show(step: str) -> Iterator[OnProgress]:
            def on_progress(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
                seen.append((step, done))
                if step == kill and done >= at:
                    raise KilledError

            yield on_progress

        pipeline = Pipeline(tiny_config, folder, show)
        pipeline.do_all(pipeline.prepare(), [Step(Kind.PREDICTIONS)])

    training, outputs = "networks/symmetry/fold-1", "outputs/symmetry"
    with pytest.raises(KilledError):
        run(kill=training, at=2)
    assert (folder / ".work" / training / "checkpoints").is_dir()
    with pytest.raises(KilledError):
        run(kill=outputs, at=20)
    assert [done for step, done in seen if step == training] == [2], "the first epoch was not repeated"
    assert (folder / ".work" / outputs / "probabilities.npy").is_file()
    run()
    assert not [step for step, _ in seen if step.startswith("networks/symmetry")]
    files = list((tiny_run / "predictions").rglob("*.csv"))
    assert len(files) == 4 + 3 * 2
    for path in files:
        assert path.read_bytes() == (folder / path.relative_to(tiny_run)).read_bytes(), path.name
