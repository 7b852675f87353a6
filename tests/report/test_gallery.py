"""Which images are shown is a rule that can be checked by hand, and what is shown is theirs."""

import base64
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from selcn.data.imaging.read import write_image
from selcn.errors import DataError
from selcn.evaluation import Predictions
from selcn.inference.predictor import Predictor, load
from selcn.labels import HAM10000
from selcn.report.embed import Picture
from selcn.report.gallery import (
    CASES,
    PANEL_WIDTH,
    choose_cases,
    choose_extremes,
    choose_failures,
    make_gallery,
    view_images,
)
from selcn.runs.run import open_run

Row = tuple[str, str, str, str, str, float]


def predictions_of(rows: list[Row]) -> Predictions:
    """Rows of image, group, fold, truth, said class and its probability; the others share the rest."""
    names = HAM10000.names
    table = pd.DataFrame([row[:4] for row in rows], columns=["image_id", "group", "fold", "truth"])
    for name in names:
        table[name] = [row[5] if row[4] == name else (1 - row[5]) / (len(names) - 1) for row in rows]
    return Predictions.of(table)


def rows_of(truth: str, said: str, confidences: list[float], fold: str = "test") -> list[Row]:
    kind = "right" if truth == said else "wrong"
    return [
        (f"{fold}-{kind}-{truth}-{number}", f"{fold}-{kind}-{truth}-{number}", fold, truth, said, confidence)
        for number, confidence in enumerate(confidences)
    ]


def test_most_confident_right_and_wrong_come_first_then_missing_classes_then_any() -> None:
    confidences = [0.3, 0.9, 0.5, 0.8, 0.4]
    rows = [
        *rows_of("nv", "nv", confidences),
        *rows_of("mel", "nv", confidences),
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
    assert [reason.split(" that ")[0] for reason in reasons[:6]] == ["among the most confident"] * 6
    assert ["class" in reason for reason in reasons[6:]] == [True, True, False, False, False, False]
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


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    return load(tiny_run / "bundle")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A catalog of two dark discs of 10 and 14 pixels' radius on bright ground."""
    folder, rows = tmp_path_factory.mktemp("discs"), np.mgrid[:48, :64]
    for name, radius in (("small", 10), ("large", 14)):
        inside = (rows[0] - 24) ** 2 + (rows[1] - 32) ** 2 <= radius**2
        write_image(
            folder / f"{name}.png", np.where(inside[..., None], (110, 70, 50), (225, 180, 165)).astype(np.uint8)
        )
        write_image(folder / f"{name}-mask.png", inside.astype(np.uint8) * 255)
    names = ["small", "large"]
    paths = {"image_path": [str(folder / f"{name}.png") for name in names]}
    return pd.DataFrame({"image_id": names, **paths, "mask_path": [str(folder / f"{name}-mask.png") for name in names]})


def pixels(picture: Picture | None) -> np.ndarray:
    assert picture is not None
    data = np.frombuffer(base64.b64decode(picture.uri.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=int)


def test_a_view_is_the_bundles_prediction_of_the_image(predictor: Predictor, table: pd.DataFrame) -> None:
    views = view_images(predictor, table, ["small", "large", "small"])
    assert list(views) == ["small", "large"]
    for name, view in views.items():
        expected = predictor.predict(table.set_index("image_id")["image_path"][name])
        for network in ("symmetry", "diagnosis"):
            probabilities = view.prediction[network].probabilities
            assert probabilities == pytest.approx(expected[network].probabilities, abs=1e-5)
            assert pixels(view.saliency[network]).shape == (PANEL_WIDTH * 3 // 4, PANEL_WIDTH, 3)
        assert pixels(view.outlined).shape == (PANEL_WIDTH * 3 // 4, PANEL_WIDTH, 3)
        assert view.asymmetry is None
    assert views["small"].outlined.alt == "small, predicted and true outline"


def test_the_true_outline_is_drawn_where_the_mask_is_known(predictor: Predictor, table: pd.DataFrame) -> None:
    with_mask = view_images(predictor, table, ["small"])["small"]
    without = view_images(predictor, table.assign(mask_path=""), ["small"])["small"]
    rows, columns = np.nonzero(np.abs(pixels(with_mask.outlined) - pixels(without.outlined)).max(axis=2) > 60)
    radii = np.hypot(rows / 5 - 24, columns / 5 - 32)  # the panel is five times as large as the image
    assert len(rows) > 100
    assert abs(np.median(radii) - 10) < 1
    assert without.outlines == "predicted outline"


def test_a_bundle_without_segmentation_shows_the_bare_image(symmetry_run: Path, table: pd.DataFrame) -> None:
    view = view_images(load(symmetry_run / "bundle"), table.assign(mask_path=""), ["large"])["large"]
    assert (view.outlines, list(view.saliency)) == ("image", ["symmetry"])
    centre, corner = pixels(view.outlined)[120, 160], pixels(view.outlined)[10, 10]
    assert np.abs(centre - (50, 70, 110)).max() < 10
    assert np.abs(corner - (165, 180, 225)).max() < 10


def test_planted_asymmetry_is_shown_where_it_sits(predictor: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    planted = np.zeros((48, 64), np.uint8)
    planted[:, 32:] = 255
    write_image(tmp_path / "asymmetry.png", planted)
    views = view_images(predictor, table.assign(asymmetry_path=str(tmp_path / "asymmetry.png")), ["small"])
    shown = pixels(views["small"].asymmetry)
    plain = np.full(3, (165, 180, 225))  # the ground of the image, as OpenCV orders colours
    assert np.abs(shown[:20, :140] - plain).max() < 25
    assert np.abs(shown[:20, 180:] - plain).max(axis=2).min() > 60


def test_a_missing_image_is_named(predictor: Predictor, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        view_images(predictor, table.assign(image_path="gone.png"), ["small"])


def test_the_gallery_shows_the_saliency_that_the_target_reads(tiny_run: Path, predictor: Predictor) -> None:
    run = open_run(tiny_run)
    gallery = make_gallery(run, predictor)
    assert gallery.explained == "symmetry"
    energies = pd.Series(gallery.energy)
    best, worst = (energies[gallery.extremes[which]] for which in ("best", "worst"))
    assert best.iloc[0] == energies.max()
    assert worst.iloc[0] == energies.min()
    shown = {*gallery.cases, *gallery.failures, *gallery.best, *chain(*gallery.extremes.values())}
    assert set(gallery.views) == shown
    assert {run.split.part[name] for name in shown} == {"test"}
