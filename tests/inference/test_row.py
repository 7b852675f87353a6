"""Rows, their columns and their keys follow from one declaration, whatever the networks are called."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from selcn.config import ClassifierSpec, ModelSpec, SegmenterSpec
from selcn.errors import ConfigError, DataError
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.reliability import ImageReliability, NetworkReliability, Reliability, SetThresholds
from selcn.inference.result import ClassResult, Lesion, Prediction
from selcn.inference.row import bundle_row_keys, file_rows, flatten, row_fields, row_keys
from selcn.serving.schema import answer_model


def config_of(**networks: ModelSpec) -> BundleConfig:
    prepare = Preparation(size=(64, 48), hair=False)
    return BundleConfig(
        selcn="0", name="x", prepare=prepare, networks=networks, target=list(networks)[-1], members=1, split=""
    )


def classifier(labels: Sequence[str]) -> ClassifierSpec:
    return ClassifierSpec(labels=list(labels))


USUAL = config_of(lesion=SegmenterSpec(), symmetry=classifier(["asymmetric", "symmetric"]), diagnosis=classifier("abc"))


def usual_prediction() -> Prediction:
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    return Prediction(
        size=(4, 3),
        target="diagnosis",
        lesion=Lesion(mask, np.array([[1, 1], [2, 1]], np.int32), (0, 0, 4, 3)),
        results={
            "symmetry": ClassResult({"asymmetric": 0.25, "symmetric": 0.75}, np.array([[0, 1 / 3]], np.float32)),
            "diagnosis": ClassResult({"a": 1 / 3, "b": 2 / 3, "c": 0.0}, np.array([[1.0]], np.float32)),
        },
        abstain=True,
        warnings=("blurred", "no lesion found"),
        distance=1.23456,
    )


ROW = {
    "width": 4,
    "height": 3,
    "lesion": {"found": True, "share": 0.166667, "box": [0, 0, 4, 3], "outline": [[1, 1], [2, 1]]},
    "symmetry": {"prediction": "symmetric", "probabilities": {"asymmetric": 0.25, "symmetric": 0.75}},
    "diagnosis": {"prediction": "b", "probabilities": {"a": 0.333333, "b": 0.666667, "c": 0.0}},
    "abstain": True,
    "warnings": ["blurred", "no lesion found"],
    "distance": 1.2346,
    "symmetry_saliency": [[0.0, pytest.approx(0.3333)]],
    "diagnosis_saliency": [[1.0]],
}
FLAT = {
    "image": "x.dcm",
    "frame": 1,
    "error": None,
    "width": 4,
    "height": 3,
    "given": None,
    "lesion_found": True,
    "lesion_share": 0.166667,
    "box_x": 0,
    "box_y": 0,
    "box_width": 4,
    "box_height": 3,
    "symmetry": "symmetric",
    "symmetry_asymmetric": 0.25,
    "symmetry_symmetric": 0.75,
    "diagnosis": "b",
    "diagnosis_a": 0.333333,
    "diagnosis_b": 0.666667,
    "diagnosis_c": 0.0,
    "abstain": True,
    "warnings": "blurred; no lesion found",
    "distance": 1.2346,
    "overlay": "overlays/x.jpg",
    "mask": None,
    "segmentation": None,
    "segmentation_error": None,
}


def test_the_usual_row_has_these_keys_in_this_order() -> None:
    row = json.loads(json.dumps(usual_prediction().to_json()))
    assert row == ROW
    assert list(row) == list(ROW)


def test_the_usual_flat_row_has_these_columns_in_this_order() -> None:
    _, row = file_rows("x.dcm", [usual_prediction()] * 2)
    flat = flatten({**row, "overlay": "overlays/x.jpg"}, USUAL)
    assert flat == FLAT
    assert list(flat) == list(FLAT) == list(row_fields(USUAL))
    assert all(value is None or type(value) is row_fields(USUAL)[name] for name, value in flat.items())


def test_a_file_is_a_row_a_frame_or_one_with_its_error() -> None:
    one, several = (file_rows("x", [usual_prediction()] * count) for count in (1, 3))
    assert ["frame" in row for row in one] == [False]
    assert [row["frame"] for row in several] == [0, 1, 2]
    (row,) = file_rows("x", DataError("x: is empty"))
    assert row == {"image": "x", "error": "x: is empty"}
    flat = flatten(row, USUAL)
    assert {name: value for name, value in flat.items() if value is not None} == row
    assert list(flat) == list(row_fields(USUAL))


def test_a_prediction_set_is_a_key_before_abstain_and_one_column() -> None:
    row = replace(usual_prediction(), set=("a", "b")).to_json()
    assert row == ROW | {"set": ["a", "b"]}
    assert list(row)[list(row).index("abstain") - 1] == "set"
    sets = SetThresholds(coverage=0.9, lowest={"a": 0.3, "b": 0.2, "c": 0.01})
    assert sets.of({"a": 0.3, "b": 0.1, "c": 0.6}) == ("a", "c")
    measured = NetworkReliability(temperature=1, abstain_below=0, coverage=1, distance=1, components=(), sets=sets)
    image = ImageReliability(sharpness=0, brightness=(0, 1))
    config = USUAL.model_copy(
        update={"reliability": Reliability(image=image, networks={"diagnosis": measured}), "target": "diagnosis"}
    )
    for held, flat in ((["a", "b"], "a; b"), ([], "")):
        assert flatten({**row, "image": "x", "set": held}, config)["set"] == flat
    assert [*row_fields(USUAL)] == [name for name in row_fields(config) if name != "set"]
    assert not [key for key in bundle_row_keys(config) if key.name == "set" and key.optional]


def test_a_target_that_may_be_undefined_has_a_row_without_its_prediction_set() -> None:
    mirror = ClassifierSpec(labels=["asymmetric", "symmetric"], backbone="mirror", size=None)
    sets = SetThresholds(coverage=0.9, lowest={"asymmetric": 0.3, "symmetric": 0.2})
    measured = NetworkReliability(temperature=1, abstain_below=0, coverage=1, distance=1, components=(), sets=sets)
    image = ImageReliability(sharpness=0, brightness=(0, 1))
    config = config_of(lesion=SegmenterSpec(), symmetry=mirror).model_copy(
        update={"reliability": Reliability(image=image, networks={"symmetry": measured})}
    )
    nan = ClassResult({"asymmetric": math.nan, "symmetric": math.nan}, np.zeros((1, 2), np.float32))
    prediction = replace(usual_prediction(), target="symmetry", results={"symmetry": nan})
    row = prediction.to_json()
    assert "set" not in row
    model = {"name": "x", "hash": "", "engine": "torch", "selcn": "0"}
    answer = {"notice": "", "model": model, "predictions": [{"image": "x", **row}]}
    answer_model(config).model_validate(answer)


def test_a_bundle_without_segmenter_has_no_columns_of_a_lesion() -> None:
    fields = row_fields(config_of(veil=classifier(["absent", "present"])))
    assert not [name for name in fields if name.startswith(("lesion", "box"))]
    assert [name for name in fields if name.startswith("veil")] == ["veil", "veil_absent", "veil_present"]


@pytest.mark.parametrize(
    "labels",
    [
        {"width": ["a", "b"]},
        {"lesion": ["a", "b"]},
        {"veil": ["a", "b"], "veil_saliency": ["a", "b"]},
        {"veil": ["a", "b"], "veil_a": ["x", "y"]},
        {"box": ["x", "y"]},
    ],
)
def test_names_that_would_be_one_key_or_column_are_refused(labels: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError, match="rename a network"):
        row_keys(labels, lesion=True)
