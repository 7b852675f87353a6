"""The bootstrap against a slow loop over the same draws, and its coverage on simulated lesions."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from selcn.errors import ConfigError
from selcn.evaluation import Estimate, Predictions
from selcn.evaluation import intervals as module
from selcn.evaluation.classification import metrics_of
from selcn.evaluation.intervals import Statistic, bootstrap, draw_groups

DrawPredictions = Callable[..., Predictions]


def mean_of(values: np.ndarray) -> Statistic:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def as_tuple(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def test_intervals_equal_a_loop_that_copies_the_drawn_lesions(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=300, lesions=210)
    groups = predictions.table["group"]
    members = [np.flatnonzero(groups == name) for name in groups.unique()]
    oracles = []
    for counts in draw_groups(len(members), 60, np.random.default_rng(7)):
        rows = np.concatenate([members[group] for group in np.repeat(np.arange(len(members)), counts)])
        truth, probabilities = predictions.truth[rows], predictions.probabilities[rows]
        predicted = probabilities.argmax(axis=1)
        oracles.append(
            {
                "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
                "kappa": sk.cohen_kappa_score(truth, predicted),
                "macro_f1": sk.f1_score(truth, predicted, average="macro"),
                "accuracy": sk.accuracy_score(truth, predicted),
                "macro_precision": sk.precision_score(truth, predicted, average="macro"),
                "macro_recall": sk.recall_score(truth, predicted, average="macro"),
                "macro_auc": sk.roc_auc_score(truth, probabilities, multi_class="ovr"),
                "sensitivity_mel": sk.recall_score(truth, predicted, labels=[1], average="macro"),
            }
        )
    found = bootstrap(metrics_of(predictions), groups, resamples=60, seed=7)
    for metric in oracles[0]:
        estimate = found[metric]
        low, high = np.percentile([one[metric] for one in oracles], [2.5, 97.5])
        assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=0, abs=1e-12), metric


def test_a_resample_draws_as_many_groups_as_there_are_each_as_often_as_chance_has_it() -> None:
    counts = draw_groups(5, 20_000, np.random.default_rng(0))
    assert counts.shape == (20_000, 5)
    assert (counts.sum(axis=1) == 5).all()
    # Each count is binomial (5, 1/5): mean 1, variance 4/5; tolerances are five standard errors.
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=5 * np.sqrt(0.8 / 20_000))
    assert counts.var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.05)


def test_the_seed_fixes_the_draws_and_the_batch_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=40)
    groups = pd.Series(np.arange(40) // 3)
    first = bootstrap(mean_of(values), groups, resamples=101, seed=1)
    assert bootstrap(mean_of(values), groups, resamples=101, seed=1) == first
    assert bootstrap(mean_of(values), groups, resamples=101, seed=2) != first
    monkeypatch.setattr(module, "_BATCH_CELLS", 7 * 40)
    assert as_tuple(bootstrap(mean_of(values), groups, resamples=101, seed=1)["mean"]) == pytest.approx(
        as_tuple(first["mean"]), abs=1e-15
    )


def test_undefined_resamples_leave_the_percentiles() -> None:
    # Undefined unless the first of three groups is drawn; then the weight of that group.
    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"weight": np.where(weights[:, 0] > 0, weights[:, 0], np.nan)}

    drawn = draw_groups(3, 500, np.random.default_rng(0))[:, 0]
    low, high = np.percentile(drawn[drawn > 0], [2.5, 97.5])
    assert bootstrap(statistic, pd.Series(["a", "b", "c"]), resamples=500) == {"weight": Estimate(1, low, high)}


def test_one_group_has_a_value_but_no_interval() -> None:
    estimate = bootstrap(mean_of(np.asarray([0.0, 1.0])), pd.Series(["a", "a"]), resamples=10)["mean"]
    assert estimate.value == 0.5
    assert np.isnan([estimate.low, estimate.high]).all()


def test_no_resamples_are_refused() -> None:
    with pytest.raises(ConfigError, match="resamples is 0; ask for at least 1, customarily 2000"):
        bootstrap(mean_of(np.ones(2)), pd.Series(["a", "b"]), resamples=0)


def test_the_interval_by_lesion_covers_the_truth_and_the_one_by_image_does_not() -> None:
    """200 simulated sets of 80 lesions with five images each, which share most of their variance; the mean is 0."""
    generator = np.random.default_rng(0)
    lesions, images, simulations = 80, 5, 200
    by_lesion, by_image, wider = 0, 0, 0
    for seed in range(simulations):
        values = (generator.normal(size=(lesions, 1)) + 0.5 * generator.normal(size=(lesions, images))).ravel()
        clustered = bootstrap(mean_of(values), pd.Series(np.arange(400) // images), resamples=400, seed=seed)["mean"]
        naive = bootstrap(mean_of(values), pd.Series(np.arange(400)), resamples=400, seed=seed)["mean"]
        by_lesion += clustered.low <= 0 <= clustered.high
        by_image += naive.low <= 0 <= naive.high
        wider += clustered.high - clustered.low > naive.high - naive.low
    assert 0.91 <= by_lesion / simulations <= 0.98
    assert by_image / simulations < 0.75
    assert wider == simulations
