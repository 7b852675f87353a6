"""Reports of other graphs than the thesis' cascade, and of runs in which something is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.evaluation import fit_recalibration, prediction_set_table
from selcn.report import write_report
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run

ReadPage = Callable[[Path], Any]
ALWAYS = ["training", "leaks", "run", "limits"]


def balanced_accuracy(rows: pd.DataFrame, classes: list[str]) -> float:
    right = rows["truth"].to_numpy() == np.array(classes)[rows[classes].to_numpy().argmax(axis=1)]
    return float(np.mean([right[rows["truth"] == name].mean() for name in rows["truth"].unique()]))


def held_out(run: Path, network: str) -> pd.DataFrame:
    return pd.read_csv(RunFolder(run).prediction_file(network), dtype={"fold": str}).query("fold == 'test'")


def test_a_segmentation_network_alone(read_page: ReadPage, pages: dict[str, Path], lesion_run: Path) -> None:
    page, scores = read_page(pages["lesion"]), held_out(lesion_run, "lesion")
    assert page.sections == ["headline", "segmentation", *ALWAYS]
    assert f"lesion {scores['dice'].mean():.3f} Dice, 95 % interval" in page.text
    cells = page.table("Segmentation, test").rows["lesion"]
    assert cells[0].split()[0] == f"{scores['dice'].mean():.3f}"
    failed = scores[scores["jaccard"] < 0.65]
    assert f"{len(failed)} of {len(scores)} test images have a Jaccard below 0.65" in page.text
    worst = failed.sort_values("jaccard").iloc[0]
    assert page.figure(f"{worst['image_id']}, Jaccard {worst['jaccard']:.3f}") == 1
    assert [table.caption for table in page.tables if table.caption.startswith("The split")] == ["The split: images"]


def test_a_classifier_alone_on_images_without_masks(
    read_page: ReadPage, pages: dict[str, Path], symmetry_run: Path
) -> None:
    page, rows = read_page(pages["symmetry"]), held_out(symmetry_run, "symmetry")
    target = ["metrics", "curves", "further", "subgroups", "sets", "cases", "saliency", "confusion"]
    assert page.sections == ["headline", *target, *ALWAYS]
    value = balanced_accuracy(rows, ["asymmetric", "symmetric"])
    assert f"symmetry {value:.3f} balanced accuracy, 95 % interval" in page.text
    assert "guessing scores 0.500" in page.text
    assert "Not scored: no image has a true mask" in page.text
    assert "Not compared" not in page.text
    assert "synthetic" not in page.text
    assert page.figure("image") == page.figure("saliency of symmetry") == 12  # of 17 lesions


def test_subgroups_are_of_what_the_catalog_knows(
    read_page: ReadPage, pages: dict[str, Path], symmetry_run: Path
) -> None:
    rows, table = held_out(symmetry_run, "symmetry"), open_run(symmetry_run).table
    sex = rows["image_id"].map(table.set_index("image_id")["sex"]).replace("", "unknown")
    shown = read_page(pages["symmetry"]).table("Subgroups").rows
    assert list(shown)[:3] == ["female", "male", "unknown"]
    for name, cells in list(shown.items())[:3]:
        chosen = rows[sex == name]
        assert cells[0] == "sex"
        assert cells[1].split()[0] == f"{balanced_accuracy(chosen, ['asymmetric', 'symmetric']):.3f}"
        assert cells[3:] == [str(len(chosen)), str(chosen["group"].nunique()), str(chosen["truth"].nunique())]


def test_prediction_sets_are_those_of_recalibrated_probabilities(
    read_page: ReadPage, pages: dict[str, Path], symmetry_run: Path
) -> None:
    predictions, page = open_run(symmetry_run).predictions("symmetry"), read_page(pages["symmetry"])
    table = prediction_set_table(fit_recalibration(predictions).of(predictions), 0.9, resamples=20)
    for row in table.to_dict("records"):
        cells = page.table("Prediction sets by class").rows[row["subgroup"]]
        shown = [row[name] for name in ("coverage_by_lesion", "coverage", "set_size")]
        assert [cell.split()[0] for cell in cells[:3]] == [f"{value:.3f}" for value in shown]
        assert cells[3:6] == [f"{row['empty_sets']:.3f}", str(row["images"]), str(row["groups"])]
        assert cells[6:] == (["", ""] if row["of"] == "all" else [f"{row['threshold']:.3f}", f"{row['lesions']:.0f}"])
    assert list(page.table("Prediction sets by subgroup").rows)[:3] == ["female", "male", "unknown"]
    assert "decision-curve-asymmetric-symmetry.csv" in page.downloads


def test_a_fourth_network_is_shown_like_the_others(read_page: ReadPage, pages: dict[str, Path], four_run: Path) -> None:
    page, rows = read_page(pages["four"]), held_out(four_run, "axes")
    value = balanced_accuracy(rows, ["odd", "even"])
    assert f"axes {value:.3f} balanced accuracy, 95 % interval" in page.text
    assert f"Symmetry (odd, even); test: {len(rows)} images" in page.text
    # The target's label set comes first, then the others in the order of the networks.
    titles = [table.caption.partition(", test")[0] for table in page.tables if ", test:" in table.caption]
    assert titles[:3] == ["Diagnosis (ham10000)", "Symmetry (symmetry-binary)", "Symmetry (odd, even)"]
    assert list(page.table("Symmetry (odd, even), test").rows) == ["axes"]
    networks = page.table("Networks").rows
    assert networks["axes"] == ["Symmetry (odd, even)", "test_resnet", "none", "", "random"]
    assert networks["diagnosis (target)"][3] == "symmetry (concat)"
    words = open_run(four_run).table.set_index("image_id")["symmetry"]
    even = int((words[held_out(four_run, "diagnosis")["image_id"]] == "two-axes").sum())
    assert page.table("The split: Symmetry (odd, even)").rows["test"] == [str(len(rows) - even), str(even)]
    assert "Not compared: no classifier of the same labels and masking" in page.text
    panels = page.figure("saliency of diagnosis")
    assert panels == page.figure("saliency of axes") == page.figure("saliency of symmetry") > 12
    assert "Saliency of symmetry, best" in page.text


@pytest.fixture
def bare(read_page: ReadPage, bare_run: Path, tmp_path: Path) -> Any:
    write_report(bare_run, tmp_path / "bare.html")
    return read_page(tmp_path / "bare.html")


def test_what_is_missing_is_said_in_a_line(bare: Any, tiny_run: Path) -> None:
    metrics = pd.read_csv(RunFolder(tiny_run).metrics("diagnosis"))
    chosen = (metrics["metric"] == "balanced_accuracy") & (metrics["fold_part"] == "validation")
    row = metrics[chosen].iloc[0]
    assert f"diagnosis {row['value']:.3f} balanced accuracy" in bare.text
    assert f"validation: {row['images']} images of {row['groups']} lesions; guessing scores 0.143" in bare.text
    for line in (
        "48 of the 96 images are synthetic",
        "Not measured, since no image has the label or the true mask that it takes: symmetry.",
        "None shown: no test image has a label of diagnosis",
        "Not scored: no image has a true mask to compare saliency with.",
    ):
        assert line in bare.text
    # The twin without saliency comes first, its control after it; both differences are those of one file.
    opening, _, others = bare.text.partition("Other comparisons")
    assert "diagnosis against diagnosis-standalone" in opening
    assert "diagnosis − diagnosis-zero: balanced accuracy" in others
    assert list(bare.table("Paired differences, validation").rows) == [
        "diagnosis − diagnosis-standalone",
        "diagnosis − diagnosis-zero",
    ]
    assert list(bare.table("Subgroups").rows)[:2] == ["clinic", "phantom"]
    assert not [table for table in bare.tables if ", test" in table.caption]
