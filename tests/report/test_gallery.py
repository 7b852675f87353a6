"""Which images are shown is a rule that can be checked by hand, and what is shown is theirs."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from selcn.data.imaging.read import write_image
from selcn.errors import DataError
from selcn.evaluation import Predictions
from selcn.inference.predictor import Predictor
from selcn.labels import Diagnosis
from selcn.report.embed import Picture
from selcn.report.gallery import CASES, PANEL_WIDTH, choose_cases, choose_extremes, choose_failures, view_images

Row = tuple[str, str, str, str, str, float]


def predictions_of(rows: list[Row]) -> Predictions:
    """Rows of image, group, fold, truth, said class and its probability; the others share the rest."""
    names = Diagnosis.names()
    table = pd.DataFrame([row[:4] for row in rows], columns=["image_id", "group", "fold", "truth"])
    for name in names:
        table[name] = [row[5] if row[4] == name else (1 - row[5]) / (len(names) - 1) for row in rows]
    return Predictions.of(table)


def rows_of(truth: str, said: str, certainties: list[float], fold: str = "test") -> list[Row]:
    kind = "right" if truth == said else "wrong"
    return [
        (f"{fold}-{kind}-{truth}-{number}", f"{fold}-{kind}-{truth}-{number}", fold, truth, said, certainty)
        for number, certainty in enumerate(certainties)
    ]


def test_most_certain_right_and_wrong_come_first_then_missing_classes_then_any() -> None:
    certainties = [0.3, 0.9, 0.5, 0.8, 0.4]
    rows = [
        *rows_of("nv", "nv", certainties),
        *rows_of("mel", "nv", certainties),
        *rows_of("df", "df", [0.2, 0.21]),
        *rows_of("vasc", "nv", [0.2, 0.21]),
        *rows_of("bcc", "bcc", [0.99], fold="0"),
    ]
    chosen = choose_cases(predictions_of(rows))
    names, reasons = list(chosen), list(chosen.values())
    assert names[:3] == ["test-right-nv-1", "test-right-nv-3", "test-right-nv-2"]
    assert names[3:6] == ["test-wrong-mel-1", "test-wrong-mel-3", "test-wrong-mel-2"]
    assert {name.split("-")[2] for name in names[6:8]} == {"df", "vasc"}
    assert len(set(names)) == CASES
    assert [reason.split(" that ")[0] for reason in reasons[:6]] == ["among the most certain"] * 6
    assert ["diagnosis" in reason for reason in reasons[6:]] == [True, True, False, False, False, False]
    assert not any(name.startswith("0-") for name in names)


def test_no_lesion_is_shown_twice_and_the_same_are_chosen_again() -> None:
    rows = [
        (f"image-{number}", f"lesion-{number // 3}", "test", "nv", "nv" if number % 2 else "mel", 0.5 + number / 100)
        for number in range(30)
    ]
    predictions = predictions_of(rows)
    chosen = choose_cases(predictions)
    assert len({int(name.split("-")[1]) // 3 for name in chosen}) == len(chosen) == 10
    assert chosen == choose_cases(predictions)


def test_without_test_images_none_are_chosen() -> None:
    assert choose_cases(predictions_of(rows_of("nv", "nv", [0.5, 0.6], fold="1"))) == {}


def test_extremes_are_the_worst_and_best_test_images_of_different_lesions() -> None:
    jaccard = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.0, 1.0]
    scores = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(12)],
            "group": ["a", "a", "b", "c", "d", "e", "f", "g", "h", "h", "z", "z"],
            "fold": ["test"] * 10 + ["0"] * 2,
            "jaccard": jaccard,
        }
    )
    chosen = choose_extremes(scores, "jaccard")
    assert chosen == {"best": ["i9", "i7", "i6", "i5"], "worst": ["i0", "i2", "i3", "i4"]}
    assert choose_extremes(scores.head(4), "jaccard") == {"best": ["i3", "i2", "i1"]}
    others = choose_extremes(scores.assign(group=[f"{number}" for number in range(12)]), "jaccard")["at random"]
    assert sorted(others) == ["i4", "i5"]


def test_failures_are_below_the_threshold_worst_first() -> None:
    scores = pd.DataFrame(
        {
            "image_id": list("abcdef"),
            "group": list("AABCDE"),
            "fold": ["test"] * 5 + ["0"],
            "jaccard": [0.3, 0.2, 0.65, 0.64, 0.1, 0.0],
        }
    )
    assert choose_failures(scores) == ["e", "b", "d"]


def pixels(picture: Picture | None) -> np.ndarray:
    assert picture is not None
    data = np.frombuffer(base64.b64decode(picture.uri.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=int)


def test_view_is_the_bundle_s_prediction_of_the_picture(predictor: Predictor, table: pd.DataFrame) -> None:
    views = view_images(predictor, table, ["test-2", "0-1", "test-2"])
    assert list(views) == ["test-2", "0-1"]
    for name, view in views.items():
        path = table.set_index("image_id")["image_path"][name]
        assert view.prediction.diagnosis == pytest.approx(predictor.predict(path).diagnosis, abs=1e-5)
        assert pixels(view.outlined).shape == (PANEL_WIDTH * 3 // 4, PANEL_WIDTH, 3)
        assert view.asymmetry is None
    assert views["test-2"].outlined.alt == "test-2 with predicted and true outline"


def test_true_outline_is_drawn_where_the_mask_is_known(predictor: Predictor, table: pd.DataFrame) -> None:
    with_mask = view_images(predictor, table, ["test-2"])["test-2"]
    without = view_images(predictor, table.assign(mask_path=""), ["test-2"])["test-2"]
    rows, columns = np.nonzero(np.abs(pixels(with_mask.outlined) - pixels(without.outlined)).max(axis=2) > 60)
    radii = np.hypot(rows / 5 - 24, columns / 5 - 32)  # the panel is five times as large as the picture
    assert len(rows) > 100
    assert abs(np.median(radii) - 10) < 1
    assert without.outlined.alt == "test-2 with the predicted outline"


def test_planted_asymmetry_is_shown_where_it_sits(predictor: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    planted = np.zeros((48, 64), np.uint8)
    planted[:, 32:] = 255
    write_image(tmp_path / "asymmetry.png", planted)
    views = view_images(predictor, table.assign(asymmetry_path=str(tmp_path / "asymmetry.png")), ["0-1"])
    shown = pixels(views["0-1"].asymmetry)
    plain = np.full(3, (165, 180, 225))  # the ground of the picture, as OpenCV orders colours
    assert np.abs(shown[:20, :140] - plain).max() < 25
    assert np.abs(shown[:20, 180:] - plain).max(axis=2).min() > 60


def test_missing_picture_is_named(predictor: Predictor, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        view_images(predictor, table.assign(image_path="gone.png"), ["0-1"])
