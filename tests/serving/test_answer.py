"""What an answer names and what it withholds, and what it says of the model; without a server."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from selcn.data.imaging.read import read_image
from selcn.errors import RunError
from selcn.inference.bundle import read_metrics
from selcn.inference.predictor import Predictor
from selcn.inference.reliability import BLURRED, NO_LESION, OUT_OF_DISTRIBUTION
from selcn.inference.result import ClassResult, Prediction, find_lesion
from selcn.serving.about import model_facts
from selcn.serving.answer import show_answer, withheld_classes
from selcn.serving.schema import Identity
from selcn.serving.service import PredictedUpload

IDENTITY = Identity(name="tiny", hash="0123456789abcdef", engine="torch", selcn="1.2.3")


@pytest.fixture(scope="module")
def sure(predictor: Predictor, pictures: list[Path]) -> Prediction:
    """A prediction with a lesion, without warnings, of classes as sure as can be."""
    found = predictor.predict(pictures[0])
    mask = np.zeros(found.size[::-1], bool)
    mask[10:30, 10:30] = True
    results = {
        name: ClassResult({label: float(number == 1) for number, label in enumerate(one.probabilities)}, one.saliency)
        for name, one in found.results.items()
    }
    return replace(found, lesion=find_lesion(mask), results=results, abstain=False, warnings=())


def without_lesion(one: Prediction) -> Prediction:
    return replace(one, lesion=find_lesion(np.zeros(one.size[::-1], bool)))


def improbable(one: Prediction) -> Prediction:
    first, *others = one["diagnosis"].probabilities
    shares = {first: 0.0, **dict.fromkeys(others, 1 / len(others))}
    unsure = ClassResult(shares, one["diagnosis"].saliency, first)
    return replace(one, abstain=True, results={**one.results, "diagnosis": unsure})


def undefined(one: Prediction) -> Prediction:
    nothing = dict.fromkeys(one["symmetry"].probabilities, np.nan)
    return replace(one, results={**one.results, "symmetry": ClassResult(nothing, one["symmetry"].saliency)})


def html_of(one: Prediction, predictor: Predictor, pictures: list[Path]) -> str:
    facts = model_facts(predictor, IDENTITY)
    return show_answer(PredictedUpload("a.png", [read_image(pictures[0])], [one]), predictor.config, facts)


@pytest.mark.parametrize(
    ("change", "withheld", "warning"),
    [
        (without_lesion, {"diagnosis", "symmetry"}, "No lesion found."),
        (lambda one: replace(one, warnings=(OUT_OF_DISTRIBUTION,)), {"diagnosis", "symmetry"}, "Unlike the training"),
        (improbable, {"diagnosis", "symmetry"}, "The likeliest diagnosis is too improbable"),
        (undefined, {"symmetry"}, None),
        (lambda one: replace(one, warnings=(BLURRED,)), set(), "Blurred."),
        (lambda one: one, set(), None),
    ],
)
def test_warnings_come_first_and_no_class_is_named_where_none_can_be_relied_on(
    change: Callable[[Prediction], Prediction],
    withheld: set[str],
    warning: str | None,
    sure: Prediction,
    predictor: Predictor,
    pictures: list[Path],
) -> None:
    prediction = change(sure)
    assert set(withheld_classes(prediction, predictor.config)) == withheld
    html = html_of(prediction, predictor, pictures)
    title = html.index("<h2")
    if warning is not None:
        assert html.index(warning) < title
        assert ", calibrated<" not in html
    named = "Likeliest: melanoma, symmetric" in html
    assert named == (not withheld)
    assert ('class="unnamed"' in html) == bool(withheld)
    told = html[: html.index("<details")] if "<details" in html else html
    assert ("melanoma" in told) == ("diagnosis" not in withheld)


def test_a_network_with_a_threshold_of_its_own_abstains_by_it(sure: Prediction, predictor: Predictor) -> None:
    config = predictor.config
    assert config.reliability is not None
    own = config.reliability.networks["diagnosis"].model_copy(update={"abstain_below": 0.9})
    networks = {**config.reliability.networks, "symmetry": own}
    reliability = config.reliability.model_copy(update={"networks": networks})
    config = config.model_copy(update={"reliability": reliability})
    undecided = ClassResult({"asymmetric": 0.5, "symmetric": 0.5}, sure["symmetry"].saliency)
    even = replace(sure, results={**sure.results, "symmetry": undecided})
    assert set(withheld_classes(even, config)) == {"symmetry"}
    assert set(withheld_classes(improbable(sure), config)) == {"diagnosis"}


def test_no_lesion_is_told_without_measured_reliability(sure: Prediction, predictor: Predictor) -> None:
    config = predictor.config.model_copy(update={"reliability": None})
    withheld = withheld_classes(without_lesion(sure), config)
    assert withheld == {"symmetry": NO_LESION, "diagnosis": NO_LESION}
    assert withheld_classes(sure, config) == {}


def test_downloads_hold_the_model_its_test_metrics_the_mask_and_the_overlay(
    tiny_run: Path, sure: Prediction, predictor: Predictor, pictures: list[Path]
) -> None:
    html = html_of(sure, predictor, pictures)
    files = dict(re.findall(r'download="([^"]+)" href="([^"]+)"', html))
    assert list(files) == ["a.json", "a-mask.png", "a-overlay.jpg"]
    stated = json.loads(urlopen(files["a.json"]).read())
    assert stated["model"] == IDENTITY.model_dump()
    assert stated["sources"] == [{"name": "phantom", "images": 96, "licence": "synthetic, drawn by selcn"}]
    rows = [row for row in json.loads((tiny_run / "bundle" / "metrics.json").read_text()) if row["fold_part"] == "test"]
    assert [(row["network"], row["metric"], row["images"]) for row in stated["test_metrics"]] == [
        (row["network"], row["metric"], row["images"]) for row in rows
    ]
    assert stated["predictions"] == [json.loads(json.dumps({"image": "a.png", **sure.to_json()}))]
    mask = cv2.imdecode(np.frombuffer(urlopen(files["a-mask.png"]).read(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert sure.lesion is not None
    np.testing.assert_array_equal(mask, sure.lesion.mask * np.uint8(255))
    first = next(row for row in rows if (row["network"], row["metric"]) == ("diagnosis", "balanced_accuracy"))
    interval = f"{first['value']:.3f} (95 % interval {first['low']:.3f} to {first['high']:.3f})"
    assert f"Model tiny (0123456789ab), selcn 1.2.3; diagnosis on the test subset: balanced accuracy {interval}" in html


def test_metrics_of_the_test_subset_are_stated_as_they_are(predictor: Predictor) -> None:
    def row(metric: str, value: float, low: float, network: str = "diagnosis", part: str = "test") -> dict[str, object]:
        return {"metric": metric, "fold_part": part, "value": value, "low": low, "high": 0.8, "images": 7} | {
            "network": network
        }

    rows = [
        row("dice", 0.5, 0.25, "lesion"),
        row("kappa", np.nan, np.nan),
        row("balanced_accuracy", 0.5, 0.25),
        row("my_own", 0.5, 0.25),
        row("accuracy", 0.5, 0.25, part="validation"),
    ]
    facts = model_facts(Predictor(predictor.config, predictor.run, metrics=rows), IDENTITY)
    assert {name: [(one.label, one.value, one.interval) for one in of] for name, of in facts.metrics.items()} == {
        "diagnosis": [("balanced accuracy", "0.500", "0.250 to 0.800"), ("Cohen's kappa", "undefined", "")],
        "lesion": [("Dice", "0.500", "0.250 to 0.800")],
    }
    assert len(json.loads(json.dumps(facts.download, allow_nan=False))["test_metrics"]) == 4
    assert model_facts(Predictor(predictor.config, predictor.run), IDENTITY).metrics == {}


def test_the_predictor_holds_the_metrics_of_its_bundle(tiny_run: Path, predictor: Predictor, tmp_path: Path) -> None:
    rows = read_metrics(tiny_run / "bundle")
    assert {row["network"] for row in rows} == set(predictor.config.networks)
    assert len(predictor.metrics) == len(rows)
    for name in ("manifest.json", "metrics.json"):
        shutil.copy(tiny_run / "bundle" / name, tmp_path)
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(RunError, match="was changed"):
        read_metrics(tmp_path)
    (tmp_path / "manifest.json").write_text('{"sha256": {"config.json": "", "model.safetensors": ""}}')
    assert read_metrics(tmp_path) == []


def test_the_grid_is_embedded_as_it_is(sure: Prediction, predictor: Predictor, pictures: list[Path]) -> None:
    saliency = np.array([[0, 0.2, 0.4], [0.6, 0.8, 1]], np.float32)
    results = {**sure.results, "symmetry": ClassResult(sure["symmetry"].probabilities, saliency)}
    html = html_of(replace(sure, results=results), predictor, pictures)
    assert "Saliency map of the symmetry, highest 83 % from the left and 75 % from the top" in html
    (data, _) = re.findall(r'saliency cells" src="([^"]+)"', html)
    cells = cv2.imdecode(np.frombuffer(urlopen(data).read(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert cells is not None
    np.testing.assert_array_equal(cells[..., 3], (saliency * 255).round())
