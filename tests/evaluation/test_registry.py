"""The registry knows every metric that is computed, and a new metric needs no more than an entry."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.errors import ConfigError
from selcn.evaluation import (
    CostTable,
    Estimate,
    Further,
    Predictions,
    evaluate_classification,
    evaluate_further,
    ood_table,
    prediction_set_table,
    robustness_table,
    saliency_quality_table,
    segmentation_scores,
    summarise_segmentation,
    surface_scores,
    verdict,
    write_predictions,
)
from selcn.evaluation.evaluate import evaluate_unlabelled
from selcn.evaluation.localisation import MAP_SCORES
from selcn.evaluation.registry import METRICS, MetricSpec, headline_metrics, metric_spec
from selcn.evaluation.robustness import PER_IMAGE
from selcn.labels import HAM10000, SYMMETRY, SYMMETRY_BINARY, LabelClass, LabelSet
from selcn.report.measurements import Measurement
from selcn.report.metric_tables import tabulate

DrawPredictions = Callable[..., Predictions]

OF_MAPS = [
    "road",
    "infidelity",
    "max_sensitivity",
    "complexity",
    "map_asymmetry",
    "agreement_members",
    "agreement_seeds",
]
OWN = LabelSet("own", (LabelClass("at_90", malignant=True), LabelClass("b c", malignant=False)), ordinal=True)


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Two masks, and the same the other way round."""
    both = np.arange(40).reshape(2, 4, 5) % 3 == 0
    return both, both[::-1]


def score_table() -> pd.DataFrame:
    keys = {"image_id": ["a", "b"], "group": ["a", "b"], "fold": "test"}
    return segmentation_scores(*masks()).assign(**keys)


def test_every_metric_that_is_computed_is_registered(draw_predictions: DrawPredictions) -> None:
    of_sets = {"coverage", "coverage_by_lesion", "set_size", "empty_sets"}
    computed = of_sets & set(prediction_set_table(draw_predictions(), 0.5, resamples=5))
    computed |= {*MAP_SCORES, *summarise_segmentation(score_table(), resamples=5)["metric"]}
    usual = pd.DataFrame({"group": ["a", "b"], "warnings": "", "energy": [1.0, 2]})
    computed |= set(ood_table(usual, usual, resamples=5)["metric"])
    corrupted = pd.DataFrame({"image_id": ["a"], "group": ["a"], "truth": ["asymmetric"], "corruption": ["clean"]})
    corrupted = corrupted.assign(severity=0, asymmetric=0.5, symmetric=0.5, **dict.fromkeys(PER_IMAGE, 1))
    computed |= set(robustness_table(corrupted, SYMMETRY_BINARY, resamples=5)["metric"])
    keys = {"image_id": ["a", "b"], "group": ["a", "b"], "fold": "test", "network": "symmetry", "saliency": "network"}
    scored = dict.fromkeys(OF_MAPS, 0.5) | {"symmetry": ["symmetric", "asymmetric"]}
    computed |= set(saliency_quality_table(pd.DataFrame(keys | scored), resamples=5)["metric"])
    for spacing in (None, 0.1):
        computed |= set(surface_scores(*masks(), tolerance=1, spacing=spacing).columns)
    costs = CostTable(tuple(HAM10000.names), 1 - np.eye(7))
    asked = {HAM10000: Further(every=True, costs=costs, prevalence={"mel": 0.025}, beta=0.5)}
    for labels in (HAM10000, SYMMETRY, SYMMETRY_BINARY, OWN):
        predictions = draw_predictions(labels=labels)
        computed |= set(evaluate_classification(predictions, resamples=5)["metric"])
        more = evaluate_further(predictions, asked.get(labels, Further(every=True)), resamples=5)
        computed |= set(more["metric"])
        unlabelled = predictions.table.drop(columns="truth")
        computed |= set(evaluate_unlabelled(unlabelled, "p", labels=labels, resamples=5)["metric"])
    assert {metric_spec(name).name for name in computed} == computed
    families = {name for name in METRICS if "{" in name}
    of_classes = {f"{start}_{name}" for start in ("sensitivity", "auc") for name in ("melanoma", "malignant")}
    assert set(METRICS) - families - of_classes <= computed


def test_the_page_of_metrics_names_every_one_and_its_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_predictions: DrawPredictions
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|.*\|.*\|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row) if not name.startswith("selcn ")}
    assert named == set(METRICS)
    folder = tmp_path / "runs/demo/predictions"
    folder.mkdir(parents=True)
    for name in ("diagnosis", "diagnosis-standalone"):
        write_predictions(draw_predictions(), folder / f"{name}.csv")
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, {})


@pytest.mark.parametrize(
    ("name", "label", "direction", "unit", "headline"),
    [
        ("kappa", "Cohen's kappa", "higher", "fraction", True),
        ("nll", "negative log-likelihood", "lower", "nats", True),
        ("hausdorff95", "Hausdorff 95 %, in diagonals", "lower", "diagonals", True),
        ("sensitivity", "sensitivity", "higher", "fraction", True),
        ("sensitivity_mel", "sensitivity for mel", "higher", "fraction", True),
        ("sensitivity_one-axis", "sensitivity for one-axis", "higher", "fraction", False),
        ("sensitivity_mel_at_90", "sensitivity for mel at 90 % specificity", "higher", "fraction", False),
        ("sensitivity_at_home", "sensitivity for at_home", "higher", "fraction", False),
        ("auc_mel", "AUC of melanoma", "higher", "fraction", True),
        ("auc_malignant", "AUC of malignant", "higher", "fraction", True),
        ("auc_b c", "AUC of b c", "higher", "fraction", False),
        ("average_precision_df", "average precision of df", "higher", "fraction", False),
        ("specificity_mel", "specificity for mel", "higher", "fraction", False),
        ("f0.5_mel_at_prevalence_2.5", "F0.5 of mel at a prevalence of 2.5 %", "higher", "fraction", False),
        ("net_benefit_mel_at_10", "net benefit for mel at 10 %", "higher", "", False),
        ("predicted_df", "predicted df", "neither", "fraction", False),
    ],
)
def test_metrics_and_members_of_families_are_resolved(
    name: str, label: str, direction: str, unit: str, headline: bool
) -> None:
    spec = metric_spec(name)
    assert (spec.name, spec.label, spec.direction, spec.unit, spec.headline) == (name, label, direction, unit, headline)


def test_an_unknown_metric_is_refused() -> None:
    for ask in (metric_spec, lambda name: headline_metrics([name])):
        with pytest.raises(ConfigError, match=r"unknown metric 'gini'; register it in selcn\.evaluation\.registry"):
            ask("gini")


def test_headlines_are_those_of_before_in_their_order(draw_predictions: DrawPredictions) -> None:
    def shown(labels: LabelSet) -> list[str]:
        return headline_metrics(evaluate_classification(draw_predictions(labels=labels), resamples=5)["metric"])

    first, last = ["balanced_accuracy", "kappa", "macro_f1", "accuracy", "macro_auc"], ["ece", "nll"]
    assert shown(HAM10000) == [*first, "sensitivity_mel", "auc_mel", "auc_malignant", *last]
    assert shown(SYMMETRY) == shown(SYMMETRY_BINARY) == [*first, "sensitivity_asymmetric", *last]
    of_masks = ["accuracy", "dice", "jaccard", "thresholded_jaccard", "boundary_f1", "hausdorff95"]
    metrics = summarise_segmentation(score_table(), resamples=5)["metric"]
    assert headline_metrics(reversed(list(metrics))) == [*of_masks, "sensitivity", "specificity"]


def test_a_strangers_metric_is_shown_once_it_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MetricSpec("margin_{class}", "margin of {class}", direction="lower", unit="pixels", headline=True)
    monkeypatch.setitem(METRICS, spec.name, spec)
    one = Measurement(Estimate(1.5, 1.25, 2.0), 9, 7)
    (table,) = tabulate("t", {"a": {"test": {"margin_left": one, "accuracy": one, "macro_recall": one}}})
    assert table.metrics == ["accuracy", "margin_left"]
    assert metric_spec("margin_left").heading == "margin of left (less is better)"
    expected = "margin of left: A is better by 1.500 pixels (95 % interval 1.250 to 2.000)"
    assert verdict(Estimate(1.5, 1.25, 2.0), "margin_left") == expected
