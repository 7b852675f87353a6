import copy
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import selcn
from selcn.data.catalog import read_catalog
from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError, DataError
from selcn.evaluation.recalibration import rescale
from selcn.inference.reliability import NO_LESION, NetworkReliability
from selcn.inference.result import describe
from selcn.inference.row import flatten, row_fields


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> "selcn.Predictor":
    return selcn.load(tiny_run / "bundle")


@pytest.fixture(scope="module")
def catalog(tiny_run: Path) -> pd.DataFrame:
    return read_catalog(tiny_run / "data" / "catalog.csv")


def test_prediction_of_a_file_is_that_of_the_pipeline(
    predictor: "selcn.Predictor", catalog: pd.DataFrame, tiny_run: Path
) -> None:
    """One prediction path: the file on disk gives the row of the test predictions, through store and batch alike."""
    predictions = pd.read_csv(tiny_run / "predictions" / "diagnosis.csv")
    test = predictions[predictions["fold"] == "test"].set_index("image_id")
    for image_id, path in catalog.set_index("image_id").loc[test.index[:3], "image_path"].items():
        prediction = predictor.predict(path)
        said = test.loc[[image_id], list(prediction["diagnosis"].probabilities)].to_numpy(dtype=float)
        assert predictor.config.reliability is not None
        measured = predictor.config.reliability.networks["diagnosis"]
        expected = rescale(said, measured.temperature, measured.bias)[0]
        assert list(prediction["diagnosis"].probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
        assert list(prediction["diagnosis"].probabilities).index(prediction["diagnosis"].prediction) == said.argmax()
        assert prediction.abstain == (expected[said.argmax()] < measured.abstain_below)


def test_biases_change_probabilities_and_not_what_is_predicted(
    predictor: "selcn.Predictor", catalog: pd.DataFrame
) -> None:
    """As of a network trained with class weights: the rare class is predicted, a frequent one more probable."""
    image = Path(catalog["image_path"][0])
    config = predictor.config
    assert config.reliability is not None
    measured = config.reliability.networks["diagnosis"]
    plain = measured.model_copy(update={"temperature": 1.0, "bias": (), "abstain_below": 0.0})
    before = _with_network(predictor, plain).predict(image)["diagnosis"]
    names = list(before.probabilities)
    bias = tuple(-6.0 * (name == before.prediction) for name in names)
    biased = plain.model_copy(update={"bias": bias, "abstain_below": 0.01})
    prediction = _with_network(predictor, biased).predict(image)
    after = prediction["diagnosis"]
    odds = {name: value * np.exp(one) for (name, value), one in zip(before.probabilities.items(), bias, strict=True)}
    assert after.probabilities == pytest.approx({name: one / sum(odds.values()) for name, one in odds.items()})
    assert after.prediction == before.prediction != max(after.probabilities, key=lambda name: after.probabilities[name])
    assert after.confidence == after.probabilities[before.prediction] < 0.01
    assert prediction.abstain
    np.testing.assert_array_equal(after.saliency, before.saliency)  # explains what is predicted


def _with_network(predictor: "selcn.Predictor", measured: NetworkReliability) -> "selcn.Predictor":
    """The predictor with other reliability of its diagnosis."""
    changed = copy.copy(predictor)
    assert predictor.config.reliability is not None
    networks = {**predictor.config.reliability.networks, "diagnosis": measured}
    reliability = predictor.config.reliability.model_copy(update={"networks": networks})
    changed.config = predictor.config.model_copy(update={"reliability": reliability})
    return changed


@pytest.mark.parametrize("size", [(64, 48), (301, 97), (40, 200)])
def test_mask_outline_and_box_are_in_the_pictures_own_pixels(
    predictor: "selcn.Predictor", catalog: pd.DataFrame, size: tuple[int, int]
) -> None:
    picture = cv2.resize(read_image(Path(catalog["image_path"][0])), size)
    prediction = predictor.predict(picture)
    lesion = prediction.lesion
    assert lesion is not None
    assert prediction.size == size
    assert lesion.mask.shape == (size[1], size[0])
    x, y, width, height = lesion.box
    assert 0 <= x < x + width <= size[0]
    assert 0 <= y < y + height <= size[1]
    if lesion.mask.any():
        assert lesion.mask[lesion.outline[:, 1], lesion.outline[:, 0]].all()
    for name in ("symmetry", "diagnosis"):
        assert sum(prediction[name].probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_pictures_of_different_sizes_share_a_batch(predictor: "selcn.Predictor", catalog: pd.DataFrame) -> None:
    pictures = [read_image(Path(path)) for path in catalog["image_path"][:2]]
    pictures[1] = cv2.resize(pictures[1], (90, 70))
    together = predictor.predict_batch(pictures)
    for one, picture in zip(together, pictures, strict=True):
        alone = predictor.predict(picture)
        assert one["diagnosis"].probabilities == pytest.approx(alone["diagnosis"].probabilities, abs=1e-5)
        assert one.lesion is not None
        assert alone.lesion is not None
        assert (one.lesion.mask == alone.lesion.mask).mean() > 0.999


def test_no_lesion_means_the_whole_picture_and_no_outline(predictor: "selcn.Predictor") -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    outputs = replace(predictor.run(black[None]), lesion=np.zeros((1, 48, 64), np.float32))
    prediction = describe(predictor.config, black, outputs, 0, (40, 30))
    assert NO_LESION in prediction.warnings
    assert prediction.lesion is not None
    assert prediction.lesion.box == (0, 0, 40, 30)
    assert len(prediction.lesion.outline) == 0
    assert prediction.to_json()["lesion"]["found"] is False


def test_a_prediction_pickles_and_becomes_json(predictor: "selcn.Predictor", catalog: pd.DataFrame) -> None:
    prediction = predictor.predict(catalog["image_path"][0])
    again = pickle.loads(pickle.dumps(prediction))
    assert prediction.lesion is not None
    assert np.array_equal(again.lesion.mask, prediction.lesion.mask)
    tree = prediction.to_json()
    assert tree["diagnosis"]["prediction"] == prediction["diagnosis"].prediction
    assert np.allclose(tree["symmetry_saliency"], prediction["symmetry"].saliency, atol=1e-4)
    flat = flatten({"image": "x", **tree}, predictor.config)
    assert list(flat) == list(row_fields(predictor.config))
    assert flat["symmetry_asymmetric"] == tree["symmetry"]["probabilities"]["asymmetric"]
    assert (predictor.name, predictor.engine) == (predictor.config.name, "torch")


def test_a_device_that_is_not_there_is_named(tiny_run: Path) -> None:
    for device in ("gpu", "cuda:63"):
        with pytest.raises(ConfigError, match=f"device {device}: cannot be used"):
            selcn.load(tiny_run / "bundle", device)


def test_a_file_that_is_no_picture_is_named(predictor: "selcn.Predictor", tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png: cannot be read"):
        predictor.predict(tmp_path / "absent.png")
