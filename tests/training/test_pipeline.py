import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from selcn.config import CatalogSource, RunConfig, SplitSection
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.datasets import as_floats, gather_images
from selcn.data.splits.split import read_split
from selcn.data.store.store import open_store
from selcn.errors import ConfigError, DataError, RunError
from selcn.evaluation import compare, evaluate_file
from selcn.inference.assembly import load_weights, read_bundle
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Masking, StageName
from selcn.models.build import build_segmenter, build_symmetry
from selcn.models.cascade import Ensemble, explain
from selcn.runs import pipeline as pipeline_module
from selcn.runs.pipeline import Pipeline
from selcn.tasks.stages import Stage

QUIET = Console(quiet=True)


def test_no_network_is_trained_or_validated_on_its_own_fold_or_the_test_part(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cascade's three leaks of the original: of lesions, of folds, and between stages."""
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    split = read_split(tiny_run / "split" / "split.json", table)
    lesion_parts = table.assign(part=table["image_id"].map(split.part)).groupby("lesion_id")["part"].agg(set)
    assert lesion_parts.map(len).max() == 1
    fits: list[tuple[str, Stage, set[str], set[str]]] = []

    def spy(stage: Stage, train: np.ndarray, validation: np.ndarray, out: Path, **_: object) -> dict[str, float]:
        parts = table["image_id"].map(split.part).to_numpy()
        fits.append((str(out), stage, set(parts[train]), set(parts[validation])))
        shutil.copyfile(
            tiny_run / out.relative_to(tmp_path / "run" / ".work") / "network.safetensors", out / "network.safetensors"
        )
        return {}

    monkeypatch.setattr(pipeline_module, "fit", spy)
    shutil.copytree(tiny_run / "data", tmp_path / "run" / "data")
    shutil.copytree(tiny_run / "split", tmp_path / "run" / "split")
    Pipeline(tiny_config, tmp_path / "run", QUIET).run()
    assert len(fits) == 2 * 4
    for out, _, train, validation in fits:
        fold = out[-1]
        assert validation == {fold}
        assert train == {"0", "1"} - {fold}


def test_masks_and_saliency_come_from_the_member_that_did_not_see_the_fold(
    tiny_run: Path, tiny_config: RunConfig
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    split = read_split(tiny_run / "split" / "split.json", table)
    store = open_store(tiny_run / "store" / "arrays", table)
    masks, saliency = (
        np.load(tiny_run / "masks" / "masks.npy"),
        np.load(tiny_run / "saliency" / "none" / "saliency.npy"),
    )
    assert not masks[split.rows(table, "test")].any()
    assert not saliency[split.rows(table, "test")].any()
    for fold in ("0", "1"):
        rows = split.rows(table, fold)[:4]
        images = as_floats(gather_images(store, rows))
        segmenter = build_segmenter(tiny_config.segmentation, pretrained=False).eval()
        load_weights(segmenter, tiny_run / "segmentation" / f"fold-{fold}" / "network.safetensors")
        network = build_symmetry(tiny_config.symmetry, pretrained=False).eval()
        load_weights(network, tiny_run / "symmetry" / "none" / f"fold-{fold}" / "network.safetensors")
        with torch.no_grad():
            assert (segmenter(images)[:, 0].numpy() > 0).astype(np.uint8) == pytest.approx(masks[rows])
            assert explain(network.trace(images))[:, 0].numpy() == pytest.approx(saliency[rows], abs=1e-4)


def test_member_k_speaks_of_fold_k_and_all_together_of_the_test_part(tiny_run: Path) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    split = read_split(tiny_run / "split" / "split.json", table)
    store = open_store(tiny_run / "store" / "arrays", table)
    config, ensemble = read_bundle(tiny_run / "bundle")
    predictions = pd.read_csv(tiny_run / "predictions" / "se-lcn-none-none.csv").set_index("image_id")
    first, second = ensemble.members
    for part, members in (("0", [first]), ("1", [second]), ("test", [first, second])):
        rows = split.rows(table, part)[:3]
        output = TorchEngine(Ensemble(members)).forward(gather_images(store, rows))
        recorded = predictions.loc[table["image_id"].iloc[rows], list(config.diagnosis_labels)]
        assert output.diagnosis.numpy() == pytest.approx(recorded.to_numpy(), abs=1e-5)


def test_predictions_speak_once_of_every_labelled_image(tiny_run: Path) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    parts = json.loads((tiny_run / "split" / "split.json").read_text())["images"]
    for name in ("standalone-none", "se-lcn-none-none", "segmentation", "symmetry-none"):
        predictions = pd.read_csv(tiny_run / "predictions" / f"{name}.csv", dtype={"fold": str})
        assert sorted(predictions["image_id"]) == sorted(table["image_id"])
        assert predictions["fold"].tolist() == [parts[image]["part"] for image in predictions["image_id"]]


def test_every_figure_comes_from_the_prediction_files(tiny_run: Path) -> None:
    for path in (tiny_run / "predictions").glob("*.csv"):
        figures = pd.read_csv(tiny_run / "evaluation" / path.name)
        pd.testing.assert_frame_equal(figures, evaluate_file(path, resamples=100))
    a, b = (tiny_run / "predictions" / f"{name}.csv" for name in ("standalone-none", "se-lcn-none-none"))
    difference = compare(a, b, resamples=100)
    recorded = pd.read_csv(tiny_run / "evaluation" / "comparison.csv")
    pd.testing.assert_frame_equal(recorded[difference.columns], difference)


def test_a_finished_run_is_not_repeated_and_another_config_is_refused(
    tiny_run: Path, tiny_config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    monkeypatch.setattr(pipeline_module, "fit", None)
    Pipeline(tiny_config, tiny_run, QUIET).run()
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before
    with pytest.raises(RunError, match=r"another configuration \(seed, symmetry.classes differ\)"):
        Pipeline(
            tiny_config.model_copy(
                update={"seed": 9, "symmetry": tiny_config.symmetry.model_copy(update={"classes": 3})}
            ),
            tiny_run,
            QUIET,
        )


def test_a_stage_that_no_variant_wants_is_refused(tiny_run: Path, tiny_config: RunConfig) -> None:
    pipeline = Pipeline(tiny_config, tiny_run, QUIET)
    with pytest.raises(ConfigError, match="no variant reads the saliency of masking lae"):
        pipeline.work.steps(StageName.SYMMETRY, Masking.LAE)
    with pytest.raises(ConfigError, match="no variant has mask lae and cam_mask None"):
        pipeline.work.steps(StageName.CLASSIFICATION, Masking.LAE)


def test_a_step_that_failed_leaves_nothing_under_its_final_name(tiny_config: RunConfig, tmp_path: Path) -> None:
    pipeline = Pipeline(tiny_config, tmp_path / "run", QUIET)

    def half(work: Path, _: object) -> None:
        (work / "half").write_text("written")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        pipeline.steps.do("step", half)
    assert not (tmp_path / "run" / "step").exists()

    def whole(work: Path, _: object) -> None:
        (work / "whole").write_text("written")

    done = pipeline.steps.do("step", whole)
    assert sorted(path.name for path in done.iterdir()) == ["step.json", "whole"]


def test_a_split_and_a_store_made_by_hand_are_used_as_they_are(
    tiny_run: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    path, store = tiny_run / "split" / "split.json", tiny_run / "store" / "arrays"
    config = tiny_config.model_copy(
        update={
            "data": CatalogSource(source="catalog", path=tiny_run / "data" / "catalog.csv"),
            "split": SplitSection(folds=9, path=path),
            "prepare": tiny_config.prepare.model_copy(update={"store": store}),
        }
    )
    pipeline = Pipeline(config, tmp_path / "run", QUIET)
    assert pipeline.data.split == read_split(path, table)
    assert (pipeline.data.store.images == open_store(store, table).images).all()
    assert not (tmp_path / "run" / "store").exists()
    other = config.model_copy(update={"prepare": config.prepare.model_copy(update={"size": (96, 96)})})
    with pytest.raises(ConfigError, match=r"holds 64x48 pictures with hair True; set prepare.size"):
        _ = Pipeline(other, tmp_path / "other", QUIET).data.store


def test_wrong_names_end_a_run_before_its_first_step_and_can_be_corrected(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    wrong = tiny_config.classification.model_copy(update={"backbone": "resnet10x"})
    with pytest.raises(ConfigError, match="resnet10x"):
        Pipeline(tiny_config.model_copy(update={"classification": wrong}), tmp_path / "run", QUIET).run()
    missing = tiny_config.symmetry.model_copy(update={"weights": str(tmp_path / "absent.safetensors")})
    with pytest.raises(ConfigError, match=r"absent\.safetensors"):
        Pipeline(tiny_config.model_copy(update={"symmetry": missing}), tmp_path / "run", QUIET).run()
    nowhere = CatalogSource(source="catalog", path=tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        Pipeline(tiny_config.model_copy(update={"data": nowhere}), tmp_path / "run", QUIET).run()
    Pipeline(tiny_config, tmp_path / "run", QUIET)  # nothing has finished, so the corrected one is welcome


def test_two_processes_in_one_run_folder_are_refused(tiny_config: RunConfig, tmp_path: Path) -> None:
    first = Pipeline(tiny_config, tmp_path / "run", QUIET)
    with pytest.raises(RunError, match=r"run: another process works in it; wait for it or choose another --out"):
        Pipeline(tiny_config, tmp_path / "run", QUIET)
    del first
    Pipeline(tiny_config, tmp_path / "run", QUIET)


def test_each_members_own_figures_and_the_ensembles_are_written(tiny_run: Path) -> None:
    table = pd.read_csv(tiny_run / "evaluation" / "cross_validation.csv")
    wanted = {"name": "se-lcn-none-none", "metric": "accuracy", "fold_part": "test"}
    row = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)].iloc[0]
    members = [
        pd.read_csv(tiny_run / "predictions" / "members" / f"se-lcn-none-none-fold-{fold}.csv") for fold in (0, 1)
    ]
    classes = ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
    right = [(member[classes].idxmax(axis=1) == member["truth"]).mean() for member in members]
    assert [row["fold-0"], row["fold-1"]] == pytest.approx(right)
    assert row["mean"] == pytest.approx(np.mean(right))
    assert row["sd"] == pytest.approx(np.std(right, ddof=1))
    whole = pd.read_csv(tiny_run / "predictions" / "se-lcn-none-none.csv", dtype={"fold": str})
    whole = whole[whole["fold"] == "test"]
    assert row["mean_probability"] == pytest.approx((whole[classes].idxmax(axis=1) == whole["truth"]).mean())
    mean = pd.concat(members).groupby("image_id")[classes].mean()
    assert whole.set_index("image_id")[classes].to_numpy() == pytest.approx(
        mean.loc[whole["image_id"]].to_numpy(), abs=1e-7
    )


def test_a_batch_larger_than_a_fold_and_a_missing_class_end_a_run_at_once(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    large = tiny_config.symmetry.model_copy(update={"batch": 64})
    with pytest.raises(ConfigError, match=r"symmetry.batch is 64, but \d+ labelled images .* without fold 0; lower it"):
        Pipeline(tiny_config.model_copy(update={"symmetry": large}), tmp_path / "run", QUIET).run()


def test_a_profile_says_where_an_epoch_goes_and_leaves_nothing(tiny_run: Path, tiny_config: RunConfig) -> None:
    before = sorted(tiny_run.rglob("*"))
    table = Pipeline(tiny_config, tiny_run, QUIET).profile("symmetry/none/fold-0")
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
    three = tiny_config.symmetry.model_copy(update={"classes": 3})
    config = tiny_config.model_copy(update={"data": CatalogSource(source="catalog", path=path), "symmetry": three})
    with pytest.raises(DataError, match=r"class one-axis has no training image in this fold; .*symmetry: classes: 2"):
        Pipeline(config, tmp_path / "run", QUIET).run()
