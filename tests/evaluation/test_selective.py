from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from selcn.evaluation import Predictions
from selcn.evaluation.selective import abstention_threshold, area_under_risk_coverage, risk_coverage
from selcn.labels import SYMMETRY_BINARY

DrawPredictions = Callable[..., Predictions]


def four_images() -> Predictions:
    names = SYMMETRY_BINARY.names
    share = np.asarray([0.9, 0.8, 0.8, 0.6])  # right, wrong, right, wrong
    truth = [names[0], names[1], names[0], names[1]]
    keys = {"image_id": list("abcd"), "group": list("abcd"), "fold": "test"}
    return Predictions.of(pd.DataFrame({**keys, "truth": truth, names[0]: share, names[1]: 1 - share}))


def test_risk_and_coverage_counted_by_hand() -> None:
    curve = risk_coverage(four_images())
    assert curve["threshold"].tolist() == [0.9, 0.8, 0.6]
    assert curve["coverage"].tolist() == [0.25, 0.75, 1]
    assert curve["risk"].tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    assert area_under_risk_coverage(four_images()) == pytest.approx(0.25 * 0 + 0.5 / 3 + 0.25 / 2)


def test_the_threshold_answers_at_least_the_share_that_is_wanted() -> None:
    assert [abstention_threshold(four_images(), share) for share in (0.25, 0.5, 0.75, 1)] == [0.9, 0.8, 0.8, 0.6]


def test_the_last_risk_is_that_of_all_answers(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    wrong = predictions.probabilities.argmax(axis=1) != predictions.truth
    assert risk_coverage(predictions)["risk"].iloc[-1] == pytest.approx(wrong.mean())
