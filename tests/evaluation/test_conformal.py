"""Prediction sets against loops, and their coverage of new lesions."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from selcn.errors import ConfigError, DataError
from selcn.evaluation import Predictions, PredictionSets, fit_prediction_sets, prediction_set_table
from selcn.labels import HAM10000, SYMMETRY_BINARY, LabelSet

DrawPredictions = Callable[..., Predictions]
NAMES = SYMMETRY_BINARY.names


def lesions(own: list[list[float]], other: list[list[float]], fold: str = "0") -> pd.DataFrame:
    """Rows of asymmetric and of symmetric lesions, by the probabilities of the truth of their images."""
    rows = [
        {"group": f"{truth}{number}", "truth": truth, NAMES[0]: p if truth == NAMES[0] else 1 - p}
        for truth, several in zip(NAMES, (own, other), strict=True)
        for number, images in enumerate(several)
        for p in images
    ]
    table = pd.DataFrame(rows).assign(fold=fold)
    table[NAMES[1]] = 1 - table[NAMES[0]]
    return table.assign(image_id=[f"{fold}-{number}" for number in range(len(table))])


def test_thresholds_counted_by_hand() -> None:
    # Four asymmetric lesions of weight 1/5, by probability: 0.9, half of one at 0.8, 0.7, its other half at 0.4, 0.3.
    table = lesions([[0.9], [0.8, 0.4], [0.7], [0.3]], [[0.9]] * 9)
    for coverage, threshold in ((0.2, 0.9), (0.3, 0.8), (0.5, 0.7), (0.51, 0.4), (0.6, 0.4), (0.8, 0.3)):
        sets = fit_prediction_sets(Predictions.of(table), coverage)
        assert sets.thresholds[NAMES[0]] == pytest.approx(threshold), coverage
    assert sets.lesions == {NAMES[0]: 4, NAMES[1]: 9}
    assert sets.of(np.array([[0.3, 0.7], [0.2, 0.8], [0.05, 0.95]])).tolist() == [
        [True, False],
        [False, False],
        [False, True],
    ]


@given(st.integers(1, 25), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_with_one_image_a_lesion_it_is_split_conformal_prediction(count: int, coverage: float, seed: int) -> None:
    own = np.random.default_rng(seed).integers(1, 12, size=count) / 12
    predictions = Predictions.of(lesions([[p] for p in own], [[0.9]] * 30))
    rank = int(np.ceil((count + 1) * coverage - 1e-9))
    if rank > count:
        with pytest.raises(ConfigError, match=f"needs .* lesions a class, but asymmetric has {count}"):
            fit_prediction_sets(predictions, coverage)
        return
    expected = np.sort(1 - own)[rank - 1]
    assert fit_prediction_sets(predictions, coverage).thresholds[NAMES[0]] == pytest.approx(1 - expected)


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that has been fitted, and whose probabilities are what it is given."""

    def __init__(self) -> None:
        self.classes_ = np.arange(3)

    def fit(self, *_: np.ndarray) -> "Given":
        return self

    def predict_proba(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = probabilities.argmax(axis=1)
        return chosen


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset has less labels")
@settings(deadline=None)
@given(st.floats(0.1, 0.9) | st.sampled_from([0.5, 0.75, 0.9]), st.integers(0, 2**32 - 1))
def test_sets_are_those_of_mapie_fitted_class_by_class(coverage: float, seed: int) -> None:
    # MAPIE knows no groups: a lesion's images are alike here, so that each lesion counts once as it does there.
    generator, classes = np.random.default_rng(seed), ["a", "b", "c"]
    fewest = int(np.ceil(1 / min(coverage, 1 - coverage))) + 1  # that MAPIE takes
    counts = generator.integers(fewest, 40, size=3)
    ranks = (counts + 1) * coverage
    assume((np.ceil(ranks) == np.ceil(ranks - 1e-6)).all())  # else rounding decides which lesion it is
    truth = np.repeat(np.arange(3), counts)
    known, new = (generator.multinomial(20, [1 / 3] * 3, size=size) / 20 for size in (len(truth), 60))
    images = np.repeat(np.arange(len(truth)), generator.integers(1, 4, size=len(truth)))
    table = pd.DataFrame(known[images], columns=classes).assign(group=images, fold="0")
    table = table.assign(image_id=range(len(images)), truth=np.array(classes)[truth[images]])
    held = fit_prediction_sets(Predictions.of(table, labels=LabelSet.of(classes)), coverage).of(new)
    for number in range(3):
        own = truth == number
        mapie = SplitConformalClassifier(Given(), confidence_level=coverage, conformity_score="lac", prefit=True)
        _, sets = mapie.conformalize(known[own], truth[own]).predict_set(new)
        np.testing.assert_array_equal(held[:, number], sets[:, number, 0])


def test_new_lesions_are_covered_class_by_class() -> None:
    # A lesion's images are alike, and lesions have 1 to 6; asymmetric ones are far harder.
    generator = np.random.default_rng(0)

    def draw(count: int, centre: float) -> list[list[float]]:
        means = generator.normal(centre, 1, size=count)
        return [list(1 / (1 + np.exp(-generator.normal(m, 0.3, size=generator.integers(1, 7))))) for m in means]

    covered = []
    for _ in range(200):
        sets = fit_prediction_sets(Predictions.of(lesions(draw(19, -1), draw(19, 2))), 0.8)
        new = lesions(draw(50, -1), draw(50, 2))
        hit = sets.of(new[NAMES].to_numpy())[np.arange(len(new)), (new["truth"] == NAMES[1]).to_numpy().astype(int)]
        by_lesion = new.assign(hit=hit).groupby(["truth", "group"])["hit"].mean()
        covered.append(by_lesion.groupby("truth").mean().to_numpy())
    low, high = np.mean(covered, axis=0)
    assert 0.79 < low < 0.84
    assert 0.79 < high < 0.84


def test_the_table_equals_a_loop(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=240, lesions=160)
    table = prediction_set_table(
        predictions,
        0.7,
        pd.DataFrame({"image_id": predictions.table["image_id"], "age": np.arange(240) % 90}),
        ["age"],
        resamples=50,
    ).set_index(["of", "subgroup"])
    sets, test = fit_prediction_sets(predictions, 0.7), predictions.table[predictions.table["fold"] == "test"]
    held = {row["image_id"]: [n for n in HAM10000.names if row[n] >= sets.thresholds[n]] for _, row in test.iterrows()}
    hit = np.array([row["truth"] in held[row["image_id"]] for _, row in test.iterrows()])
    size = np.array([len(held[name]) for name in test["image_id"]])
    by_lesion = test.assign(hit=hit).groupby(["truth", "group"])["hit"].mean().groupby("truth").mean()
    numbers = ["coverage", "coverage_by_lesion", "set_size", "empty_sets", "threshold"]
    for name in HAM10000.names:
        chosen = (test["truth"] == name).to_numpy()
        expected = [
            hit[chosen].mean(),
            by_lesion[name],
            size[chosen].mean(),
            (size[chosen] == 0).mean(),
            sets.thresholds[name],
        ]
        row = table.loc[("class", [name]), :]
        np.testing.assert_allclose(row[numbers].to_numpy(dtype=np.float64)[0], expected)
        for one in ("coverage", "coverage_by_lesion"):
            assert (np.diff(row[[f"{one}_low", one, f"{one}_high"]].to_numpy(dtype=np.float64)) >= 0).all()
    whole = table.loc[("all", ["all"]), numbers].to_numpy(dtype=np.float64)[0]
    every = test.assign(hit=hit).groupby("group")["hit"].mean().mean()
    np.testing.assert_allclose(whole, [hit.mean(), every, size.mean(), (size == 0).mean(), np.nan])
    ages = (test.index.to_numpy() % 90)[:, None]
    edges = [0, 30, 50, 70, 90]
    counted = [int(((low <= ages) & (ages < high)).sum()) for low, high in pairwise(edges)]
    assert table.loc[("age", slice(None)), "images"].tolist() == counted


def test_what_is_guaranteed_counts_each_lesion_once() -> None:
    # One lesion of four images, all covered, and one of a single image that is not.
    test = Predictions.of(lesions([[0.9, 0.8, 0.9, 0.7], [0.3]], [[0.9]], fold="test"))
    sets = PredictionSets(0.5, {NAMES[0]: 0.6, NAMES[1]: 0.6}, {})
    found = prediction_set_table(test, sets, resamples=50).set_index(["of", "subgroup"])
    assert found.loc[("class", NAMES[0]), ["coverage", "coverage_by_lesion"]].tolist() == pytest.approx([0.8, 0.5])
    assert found.loc[("all", "all"), ["coverage", "coverage_by_lesion"]].tolist() == pytest.approx([5 / 6, 2 / 3])
    assert found.loc[("class", NAMES[0]), "threshold"] == 0.6
    with pytest.raises(ConfigError, match="the sets are of a, but the predictions of asymmetric, symmetric; give"):
        prediction_set_table(test, PredictionSets(0.5, {"a": 0.5}, {}))


def test_a_class_without_test_images_has_no_coverage() -> None:
    table = pd.concat([lesions([[0.9]] * 9, [[0.8]] * 9), lesions([], [[0.7]], fold="test").assign(group="new")])
    found = prediction_set_table(Predictions.of(table), 0.9, resamples=5).set_index("subgroup")
    assert found.loc[[NAMES[0]], ["coverage", "coverage_by_lesion_low", "set_size", "empty_sets"]].isna().all(axis=None)
    assert found["images"].tolist() == [1, 0, 1]


def test_what_cannot_be_fitted_is_refused() -> None:
    few = Predictions.of(lesions([[0.9]] * 2, [[0.9]] * 9))
    for coverage, message in (
        (0.9, "coverage 0.9 needs 9 out-of-fold lesions a class, but asymmetric has 2; ask for 0.666 at most"),
        (1.0, "coverage is 1; give a share above 0 and below 1"),
        (float("nan"), "coverage is nan; give a share"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_prediction_sets(few, coverage)
    with pytest.raises(ConfigError, match="asymmetric has 0; give predictions of classes that occur"):
        fit_prediction_sets(Predictions.of(lesions([], [[0.9]])), 0.5)
    with pytest.raises(DataError, match="no validation rows"):
        fit_prediction_sets(Predictions.of(lesions([[0.9]], [[0.9]], fold="test")), 0.5)
    with pytest.raises(DataError, match="no test rows"):
        prediction_set_table(few, 0.5)
