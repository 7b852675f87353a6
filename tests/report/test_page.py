"""The report gives what the run's files hold, to every digit shown, and needs nothing outside itself."""

import base64
import hashlib
import html
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from selcn.errors import RunError
from selcn.evaluation import (
    Estimate,
    Further,
    Predictions,
    confusion,
    decision_curve,
    evaluate_further,
    verdict,
)
from selcn.evaluation.registry import headline_metrics
from selcn.inference.result import ClassResult
from selcn.labels import HAM10000
from selcn.report import write_report
from selcn.report.page import HERE
from selcn.report.wording import duration, spoken
from selcn.runs.run import Run, open_run

CLASSIFIERS = ["symmetry", "diagnosis", "diagnosis-standalone"]
PAIR = "diagnosis − diagnosis-standalone"
MARKUP = '<b>bold & "quoted"'


@pytest.fixture(scope="module")
def run_of(tiny_run: Path) -> Run:
    return open_run(tiny_run)


@pytest.fixture(scope="module")
def page(read_page: Callable[[Path], Any], pages: dict[str, Path]) -> Any:
    assert list(pages["tiny"].parent.iterdir()) == [pages["tiny"]]
    return read_page(pages["tiny"])


def shown(row: pd.Series, *, signed: bool = False) -> str:
    """A row of an evaluation file as the page should write it."""
    value, low, high = (f"{number:{'+' * signed}z.3f}" for number in row[["value", "low", "high"]])
    if math.isnan(row["value"]):
        return "undefined no interval"
    return f"{value} no interval" if math.isnan(row["low"]) else f"{value} {low} to {high}"


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize(
    ("title", "file", "row"),
    [
        ("Diagnosis (ham10000)", "diagnosis", "diagnosis"),
        ("Diagnosis (ham10000)", "diagnosis-standalone", "diagnosis-standalone"),
        ("Symmetry (symmetry-binary)", "symmetry", "symmetry"),
        ("Segmentation", "lesion", "lesion"),
        ("Paired differences", "comparison", PAIR),
    ],
)
def test_every_metric_is_that_of_the_evaluation_files(
    page: Any, run_of: Run, part: str, title: str, file: str, row: str
) -> None:
    metrics = pd.read_csv(run_of.folder.evaluation / f"{file}.csv")
    metrics = metrics[metrics["fold_part"] == part].set_index("metric", drop=False)
    first = "dice" if title == "Segmentation" else "balanced_accuracy"
    order = headline_metrics(metrics["metric"])
    metrics = metrics.loc[[first, *(name for name in order if name != first)]]
    table = page.table(f"{title}, {part}")
    assert table.columns == [spoken(metric) for metric in metrics["metric"]]
    assert table.rows[row] == [shown(one, signed=row == PAIR) for _, one in metrics.iterrows()]
    assert f"{metrics['images'].iloc[0]} images of {metrics['groups'].iloc[0]} lesions" in table.caption


def test_decisions_borders_and_sets_are_those_of_the_evaluation(page: Any, run_of: Run) -> None:
    predictions = run_of.predictions("diagnosis")
    tested = Predictions(predictions.labels, predictions.table[predictions.table["fold"] == "test"])
    further = evaluate_further(tested, Further(every=True), resamples=run_of.config.resamples)
    found = {str(row["metric"]): row for _, row in further.iterrows()}
    table = page.table("All classes together, test")
    assert table.columns == [spoken(name) for name in ("mcc", "root_brier", "class_wise_ece", "ece_kde")]
    assert table.rows["diagnosis"][0] == shown(found["mcc"])
    classes = page.table("Each class against the rest, test")
    assert classes.columns == ["sensitivity", "specificity", "PPV", "NPV", "F2", "net benefit at 10 %"]
    assert list(classes.rows) == [*predictions.classes, "malignant"]
    of_mel = ("specificity_mel", "ppv_mel", "npv_mel", "f2_mel", "net_benefit_mel_at_10")
    assert classes.rows["mel"][1:] == [shown(found[name]) for name in of_mel]
    assert classes.rows["malignant"][0] == ""
    curve = page.downloads["decision-curve-malignant-diagnosis.csv"]
    expected = decision_curve(predictions, resamples=run_of.config.resamples)
    drawn = curve[curve["probabilities"] == "as predicted"]
    assert drawn["net_benefit"].tolist() == pytest.approx(expected["net_benefit"].tolist(), abs=1e-5)
    borders = pd.read_csv(run_of.folder.evaluation / "surfaces.csv").query("fold_part == 'test'")
    assert page.table("Borders, within 1 pixels, test").rows["lesion"] == [shown(row) for _, row in borders.iterrows()]
    # A class of the tiny run has too few lesions.
    assert "No prediction sets of diagnosis are measured: coverage 0.9 needs 9 out-of-fold lesions a class" in page.text


def test_the_folds_and_what_is_over_all_of_them_are_shown(page: Any, run_of: Run) -> None:
    metrics = pd.read_csv(run_of.folder.evaluation / "cross_validation.csv")
    chosen = (metrics["metric"] == "balanced_accuracy") & (metrics["fold_part"] == "validation")
    row = metrics[chosen & (metrics["name"] == "diagnosis")].iloc[0]
    table = page.table("Folds: balanced accuracy in validation")
    assert list(table.rows) == CLASSIFIERS
    assert table.columns == ["fold 0", "fold 1", "mean", "standard deviation", "pooled"]
    expected = [row[name] for name in ("fold-0", "fold-1", "mean", "sd", "pooled")]
    assert table.rows["diagnosis"] == [f"{value:.3f}" for value in expected]


def test_headlines_give_each_network_of_the_bundle_the_target_first(page: Any, run_of: Run) -> None:
    def tested(file: str, metric: str) -> pd.Series:
        metrics = pd.read_csv(run_of.folder.evaluation / f"{file}.csv")
        return metrics[(metrics["fold_part"] == "test") & (metrics["metric"] == metric)].iloc[0]

    headline = page.text[page.text.index("Research tool") : page.text.index("Diagnosis (ham10000), test")]
    places = []
    for name, metric in (("diagnosis", "balanced_accuracy"), ("lesion", "dice"), ("symmetry", "balanced_accuracy")):
        row = tested(name, metric)
        line = f"{name} {row['value']:.3f} {spoken(metric)}, 95 % interval {row['low']:.3f} to {row['high']:.3f}"
        places.append(headline.index(line))
    assert places == sorted(places)
    row = tested("comparison", "balanced_accuracy")
    assert f"diagnosis against diagnosis-standalone {row['value']:+.3f}" in headline
    estimate = Estimate(row["value"], row["low"], row["high"])
    assert verdict(estimate, "balanced_accuracy", "diagnosis-standalone", "diagnosis") in headline
    assert "guessing scores 0.143" in headline
    assert "guessing scores 0.500" in headline


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_confusion_gives_counts_and_shares_of_rows(page: Any, run_of: Run, name: str) -> None:
    counts = confusion(run_of.predictions(name), "test")
    table = page.table(f"{name}, test")
    assert table.columns == list(counts.columns)
    for truth, row in counts.iterrows():
        shares = [f"{100 * count / row.sum():.0f} %" if row.sum() else "undefined" for count in row]
        assert table.rows[str(truth)] == [f"{count} {share}" for count, share in zip(row, shares, strict=True)]


def test_versions_are_those_of_the_run(page: Any, run_of: Run) -> None:
    versions = json.loads(run_of.folder.environment.read_text())
    assert f"Run with {', '.join(f'{what} {which}' for what, which in versions.items())}." in page.text


def test_split_and_steps_are_listed(page: Any, run_of: Run) -> None:
    subset = run_of.table["image_id"].map(run_of.split.part)
    for title, column, classes in (
        ("Diagnosis (ham10000)", run_of.table["diagnosis"], HAM10000.names),
        ("Symmetry (symmetry-binary)", run_of.table["symmetry"] == "asymmetric", [True, False]),
    ):
        table = page.table(f"The split: {title}")
        assert list(table.rows) == ["fold 0", "fold 1", "test"]
        expected = [str(((subset == "test") & (column == name)).sum()) for name in classes]
        assert table.rows["test"] == expected
    images, lesions = (subset == "test").sum(), run_of.table["lesion_id"][subset == "test"].nunique()
    assert page.table("The split: images").rows["test"] == [str(images), str(lesions)]
    steps = page.tables[-1].rows
    assert len(steps) == len(list(run_of.folder.path.rglob("step.json")))
    # In the order of the page: another order could round otherwise.
    seconds = sum(manifest["seconds"] for manifest in run_of.manifests().values())
    assert f"({duration(seconds)} in all)" in page.text
    trained = run_of.manifests()["networks/symmetry/fold-1"]
    expected = [duration(trained["seconds"]), "2", f"{trained['best']:.3f}", "val_loss"]
    assert steps["networks / symmetry / fold-1"] == expected


def test_cases_are_test_images_of_different_lesions_with_their_truth(page: Any, run_of: Run) -> None:
    cases = re.findall(r"(PH_\d+) (?:among|sampled)", page.text)
    table = run_of.table.set_index("image_id")
    assert {run_of.split.part[image] for image in cases} == {"test"}
    assert len({table["lesion_id"][image] for image in cases}) == len(cases) == 12
    truths = re.findall(
        r"diagnosis : predicted \w+ 0\.\d\d, truth (\w+)", page.text.replace("diagnosis pred", "diagnosis : pred")
    )
    assert truths == [table["diagnosis"][image] for image in cases]
    assert set(truths) == set(table["diagnosis"][subset_of(run_of, "test")])
    assert page.figure("saliency of symmetry") == page.figure("saliency of diagnosis") > len(cases)
    assert page.figure("planted asymmetry") == len(cases)


def subset_of(run: Run, part: str) -> list[str]:
    return [image for image, own in run.split.part.items() if own == part]


def test_nothing_outside_the_page_is_asked_for(page: Any) -> None:
    links = [(tag, name, value) for tag, name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert all(value.startswith(("#", "data:text/csv;base64,")) for tag, _, value in links if tag == "a")
    assert all(value.startswith("data:") for tag, _, value in links if tag != "a")
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"script", "iframe", "object"})
    assert not re.search(r"@import|url\(|https?:|\son\w+=", page.source)
    # The one script is the one that the page's own policy allows.
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in page.source
    assert len(page.source) < 5_000_000


@pytest.mark.parametrize("name", ["tiny", "lesion", "symmetry", "four"])
def test_links_within_the_page_are_its_sections(
    read_page: Callable[[Path], Any], pages: dict[str, Path], name: str
) -> None:
    page = read_page(pages[name])
    links = [value[1:] for _, name, value in page.attributes if name == "href" and value[0] == "#"]
    assert links == page.sections
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_each_chart_and_table_of_metrics_offers_its_numbers(page: Any, run_of: Run) -> None:
    tables = page.downloads
    assert len(tables) >= 12
    saliency = tables["saliency-symmetry-lesion.csv"]
    recorded = pd.read_csv(run_of.folder.evaluation / "saliency.csv")
    recorded = recorded[(recorded["head"] == "symmetry") & (recorded["against"] == "lesion")]
    assert saliency["value"].to_numpy() == pytest.approx(recorded["value"].to_numpy(), rel=1e-5, nan_ok=True)
    assert set(tables["roc-diagnosis.csv"]["class"]) == {*HAM10000.names, "malignant"}


def test_saliency_stands_beside_what_it_must_be_better_than(page: Any, run_of: Run) -> None:
    table = page.table("Saliency of symmetry against the lesion, test")
    metrics = pd.read_csv(run_of.folder.evaluation / "saliency.csv")
    metrics = metrics[(metrics["head"] == "symmetry") & (metrics["against"] == "lesion")]
    for kind in ("network", "chance", "lesion mask"):
        rows = metrics[metrics["saliency"] == kind]
        for heading, metric in (("IoU", "iou"), ("energy inside the region", "energy")):
            row = rows[rows["metric"] == metric].iloc[0]
            assert table.rows[kind][table.columns.index(heading)] == shown(row)
    difference = metrics[(metrics["saliency"] == "network - chance") & (metrics["metric"] == "energy")].iloc[0]
    assert f"chance {difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})" in page.text
    assert re.search(r"Saliency of symmetry, best .* of the map lies on the lesion", page.text)


def test_the_leak_check_counts_what_lies_in_several_subsets(page: Any) -> None:
    assert re.search(r"lies in another subset too: fold 0 0 *, fold 1 0 *, test 0 *\.", page.text)


def test_every_image_has_a_text_and_is_one(page: Any) -> None:
    images = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    texts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(texts) == len(images) >= 12 * 4 + 6
    assert all(texts)
    for uri in images:
        kind, data = uri.split(";base64,")
        start = {"data:image/jpeg": b"\xff\xd8", "data:image/svg+xml": b"<?xml"}[kind]
        assert base64.b64decode(data).startswith(start)


def test_synthetic_data_are_said_to_be_so_before_any_metric(page: Any) -> None:
    before, _, _ = page.text.partition("guessing scores")
    assert "All data are synthetic. Every one of the 96 images" in before


def test_the_same_run_gives_the_same_bytes_and_its_name_is_escaped(
    lesion_run: Path, pages: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(lesion_run, tmp_path / MARKUP, copy_function=os.link)
    write_report(tmp_path / MARKUP, tmp_path / "again.html")
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    escaped = html.escape(MARKUP).replace("&quot;", "&#34;")
    assert again.count(escaped) == 2
    expected = pages["lesion"].read_text(encoding="utf-8")
    assert again.replace(f"{escaped} –", "lesion –").replace(f"“{escaped}”", "“lesion”") == expected


@pytest.mark.parametrize("step", ["evaluation", "networks/diagnosis/fold-1", "split"])
def test_an_unfinished_run_is_refused_by_the_missing_step(run: Path, step: str) -> None:
    (run / step / "step.json").unlink()
    with pytest.raises(RunError, match=f"step {step} has not finished; resume with `selcn run .*config.yaml --out"):
        write_report(run, run / "report.html")
    assert not list(run.glob("*report.html*"))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a run .* give the folder made by `selcn run`"):
        write_report(tmp_path, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("odd", "truth", "shown"),
    [
        (math.nan, "odd", "predicted undefined, truth odd"),
        (math.nan, None, "predicted undefined, truth unknown"),
        (0.75, "odd", "predicted odd 0.75, truth odd ✓ right"),
        (0.75, "even", "predicted odd 0.75, truth even ✗ wrong (given 0.25)"),
    ],
)
def test_an_undefined_answer_is_shown_without_probability(odd: float, truth: str | None, shown: str) -> None:
    environment = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= dict.fromkeys(("bounds", "csv", "duration", "label_title", "number", "spoken"), str)
    macros: Any = environment.get_template("macros.html.j2").make_module()
    result = ClassResult({"odd": odd, "even": 1 - odd}, np.zeros((1, 1), np.float32))
    text = " ".join(re.sub("<[^>]*>", " ", macros.answer("symmetry", result, truth)).split())
    assert text.replace(" ,", ",") == f"symmetry {shown}"
