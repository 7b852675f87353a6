"""Measured symmetry from configuration to bundle, ONNX, report and HTTP, on the phantom."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from pydantic import ValidationError

import selcn
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging.read import read_image, read_mask
from selcn.errors import ConfigError
from selcn.evaluation.predictions import read_predictions
from selcn.explain.explainers import Choice, build_explainer
from selcn.inference.given import Given
from selcn.inference.onnx.export import export_bundle
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction
from selcn.inference.row import flatten
from selcn.report import refresh_report
from selcn.runs.bundle_scores import score_bundle
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import Run, open_run

Networks = dict[str, dict[str, Any]]
UNDEFINED = "symmetry undefined, the lesion has no region to mirror"


@pytest.fixture(scope="module")
def measured(
    tiny_run: Path,
    small_networks: Networks,
    pipeline_of: Callable[..., Pipeline],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A finished run: symmetry measured on predicted and on true masks, a network beside it, a target that reads it."""
    folder, plain = tmp_path_factory.mktemp("measured"), small_networks["plain"]
    symmetry = {"task": "classification", "labels": "symmetry-binary"}
    networks = {
        "lesion": small_networks["lesion"],
        "symmetry": {**symmetry, "backbone": "mirror"},
        "symmetry-true": {**symmetry, "backbone": "mirror", "masks": "true"},
        "beside": {**plain, **symmetry, "measures": True},
        "diagnosis": {**plain, "reads": {"symmetry": "concat"}},
    }
    pipeline_of(tiny_run / "data" / "catalog.csv", folder / "run", networks).run()
    return open_run(folder / "run")


def test_asymmetry_is_found_where_the_phantom_has_it(measured: Run) -> None:
    table = measured.predictions("symmetry-true").table
    assert ((table["asymmetric"] > 0.5) == (table["truth"] == "asymmetric")).mean() > 0.85
    maps, means = measured.output("symmetry-true", "saliency.npy"), []
    for one, path, mask in zip(maps, measured.table["asymmetry_path"], measured.store.masks, strict=True):
        odd = read_image(Path(path))[..., 0] if path else np.zeros((1, 1), np.uint8)
        if odd.any():
            places = [cv2.resize(where.astype(np.float32), one.shape[::-1]) for where in (odd, mask)]
            means.append([(one * where).sum() / where.sum() for where in places])
    there, everywhere = np.mean(means, axis=0)
    assert there > 1.3 * everywhere  # over the lesion
    assert measured.curves("symmetry") == []
    assert "symmetry" in refresh_report(measured.folder.path).read_text(encoding="utf-8")


def test_true_masks_are_for_comparison(
    tiny_run: Path, small_networks: Networks, pipeline_of: Callable[..., Pipeline], tmp_path: Path
) -> None:
    section = {"task": "classification", "labels": "symmetry-binary", "backbone": "mirror", "masks": "true"}
    networks = {"lesion": small_networks["lesion"], "symmetry": section}
    with pytest.raises(ValidationError, match="network symmetry: masks: true is for comparison"):
        pipeline_of(tiny_run / "data" / "catalog.csv", tmp_path / "run", networks)
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    table.loc[:2, "mask_path"] = ""
    write_catalog(table, tmp_path / "catalog.csv")
    with pytest.raises(ConfigError, match="network symmetry: masks: true, but 3 labelled images have no mask"):
        pipeline_of(tmp_path / "catalog.csv", tmp_path / "run", networks, target="lesion").run()


def test_a_bundle_is_scored_on_the_images_that_it_is_defined_for(
    measured: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, tested = selcn.load(measured.folder.bundle), measured.table.iloc[measured.test_rows].head(6)
    original = Predictor.predict_prepared

    def first_is_empty(self: Predictor, prepared: np.ndarray, sizes: Any, given: Any = ()) -> list[Prediction]:
        height, width = sizes[0][1], sizes[0][0]
        return original(self, prepared, sizes, [Given(mask=np.zeros((height, width), bool)), *given[1:]])

    monkeypatch.setattr(Predictor, "predict_prepared", first_is_empty)
    scores = score_bundle([predictor], measured.folder.bundle, tested, tmp_path / "out", resamples=20)
    assert scores.undefined["symmetry"] >= 1
    written = read_predictions(tmp_path / "out" / "symmetry.csv").table
    assert len(written) == len(tested) - scores.undefined["symmetry"]
    assert tested["image_id"].iloc[0] not in set(written["image_id"])
    assert len(read_predictions(tmp_path / "out" / "diagnosis.csv").table) == len(tested)


def test_a_map_is_asked_for_by_its_own_method(measured: Run) -> None:
    member = measured.cascade(0, ["lesion", "symmetry", "diagnosis"])
    for network, method in (("symmetry", "grad-cam++"), ("diagnosis", "mirror")):
        with pytest.raises(ConfigError, match="leave the method out"):
            build_explainer([member], network, Choice(method))


def test_bundle_answers_alike_by_every_way_and_says_what_is_undefined(
    measured: Run, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    bundle = measured.folder.bundle
    assert max(export_bundle(bundle).values()) < 1e-4
    engines = [selcn.load(bundle), selcn.load(bundle, engine="onnx")]
    picture = Path(measured.table["image_path"].iloc[0])
    true = read_mask(Path(measured.table["mask_path"].iloc[0]))
    defined, other = (engine.predict(picture, Given(mask=true)) for engine in engines)
    assert defined.results["symmetry"].defined
    for name, result in defined.results.items():
        assert [*other[name].probabilities.values()] == pytest.approx([*result.probabilities.values()], abs=1e-4)
        assert np.abs(other[name].saliency - result.saliency).max() < 1e-4
    for engine in engines:
        prediction = engine.predict(picture, Given(mask=np.zeros_like(true)))
        assert UNDEFINED in prediction.warnings
        assert not prediction["symmetry"].saliency.any()
        row = prediction.to_json()
        assert row["symmetry"] == {"prediction": None, "probabilities": None}
        assert flatten(row, engine.config)["symmetry_asymmetric"] is None
        assert row["diagnosis"]["prediction"]  # it answers without the map
    told = {picture.name: {"mask": "outline"}}
    empty = cv2.imencode(".png", np.zeros(true.shape, np.uint8))[1].tobytes()
    files = [("images", (picture.name, picture.read_bytes())), ("outline", ("outline.png", empty))]
    with serve(engines[0]) as address:
        answer = httpx.post(f"{address}/v1/predict", data={"given": json.dumps(told)}, files=files, timeout=60)
        schema = httpx.get(f"{address}/openapi.json").json()["components"]["schemas"]
    (row,) = answer.raise_for_status().json()["predictions"]
    assert row["symmetry"] == {"prediction": None, "probabilities": None}
    kinds = {name: schema[f"{name}-answer"]["properties"]["probabilities"] for name in ("symmetry", "diagnosis")}
    assert [("anyOf" in kinds[name]) for name in kinds] == [True, False]
