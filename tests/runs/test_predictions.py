"""Prediction files of outputs that are made up, against rows counted by hand."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.runs import predictions
from selcn.runs.predictions import score_masks, write_prediction_files
from selcn.runs.run import Run, open_run

NAMES = ("symmetry", "diagnosis", "diagnosis-standalone")


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """The tiny run's data, and outputs that tell row, class and member."""
    for name in ("data", "split", "store"):
        (tmp_path / name).symlink_to(tiny_run / name)
    shutil.copy(tiny_run / "config.yaml", tmp_path / "config.yaml")
    run = open_run(tmp_path)
    generator = np.random.default_rng(0)
    for name in NAMES:
        classes, folder = len(run.labels(name).names), run.folder.outputs(name)
        folder.mkdir(parents=True)
        for kind, shape in (("probabilities", (len(run.table),)), ("member-probabilities", (2, len(run.test_rows)))):
            values = generator.dirichlet(np.ones(classes), shape).astype(np.float32)
            np.save(folder / f"{kind}.npy", values)
    run.folder.outputs("lesion").mkdir()
    np.save(run.folder.outputs("lesion") / "masks.npy", np.asarray(run.store.masks)[::-1])
    return run


def written(run: Run, folder: Path) -> Path:
    folder.mkdir()
    write_prediction_files(run, folder)
    return folder


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"fold": str}).set_index("image_id")


def test_folds_are_of_their_members_and_the_test_subset_is_the_mean_of_all(run: Run, tmp_path: Path) -> None:
    out = written(run, tmp_path / "out")
    for name in NAMES:
        classes, table = run.labels(name).names, read(out / f"{name}.csv")
        own, alone = (run.output(name, f"{kind}.npy") for kind in ("probabilities", "member-probabilities"))
        assert list(table.columns) == ["group", "fold", "truth", *classes]
        assert sorted(table.index) == sorted(run.table["image_id"])
        for row, image in enumerate(run.table["image_id"]):
            found = table.loc[image]
            assert (found["fold"], found["group"]) == (run.split.part[image], run.split.group[image])
            assert found["truth"] == run.labels(name).class_of(run.table[run.labels(name).column][row])
            place = np.flatnonzero(run.test_rows == row)
            expected = alone[:, place[0]].mean(axis=0) if len(place) else own[row]
            assert found[classes].to_numpy(dtype=float) == pytest.approx(expected, abs=1e-6)
        for member in (0, 1):
            single = read(out / "members" / f"{name}-fold-{member}.csv")
            assert list(single.index) == run.table["image_id"].iloc[run.test_rows].tolist()
            assert single[classes].to_numpy() == pytest.approx(alone[member], abs=1e-7)


def test_images_without_a_label_are_left_out_and_a_network_without_any_gets_no_file(run: Run, tmp_path: Path) -> None:
    half = run.table.index % 2 == 0
    table = run.table.assign(symmetry="", diagnosis=run.table["diagnosis"].where(half, ""))
    less = replace(run, table=table)
    vars(less)["store"] = run.store  # which was made of all labels
    out = written(less, tmp_path / "out")
    assert not list(out.rglob("symmetry*"))
    assert sorted(read(out / "diagnosis.csv").index) == sorted(run.table["image_id"][half])


def test_without_a_test_subset_there_are_folds_alone(run: Run, tmp_path: Path) -> None:
    class Untested(Run):
        test_rows = np.empty(0, dtype=np.int64)

    out = written(Untested(run.folder, run.config, run.table, run.split), tmp_path / "out")
    assert set(read(out / "diagnosis.csv")["fold"]) == {"0", "1"}
    assert list((out / "members").iterdir()) == []


def test_masks_are_scored_image_by_image_where_the_truth_is_known(run: Run, tmp_path: Path) -> None:
    table = read(written(run, tmp_path / "out") / "lesion.csv")
    assert len(table) == len(run.table)
    truth, predicted = np.asarray(run.store.masks) > 0, np.asarray(run.store.masks)[::-1] > 0
    for row, image in enumerate(run.table["image_id"]):
        shared, size = (truth[row] & predicted[row]).sum(), truth[row].sum() + predicted[row].sum()
        assert table.loc[image, "dice"] == pytest.approx(2 * shared / size)
        assert table.loc[image, "sensitivity"] == pytest.approx(shared / truth[row].sum())
        assert table.loc[image, "fold"] == run.split.part[image]
    run.store.has_mask[:] = False
    assert score_masks(run).empty


def test_tested_are_the_images_that_no_network_saw(run: Run) -> None:
    assert np.flatnonzero(predictions.tested_only(run)).tolist() == run.test_rows.tolist()
