"""Bundles that share networks or store weights in 16 bits, and ensembles calibrated on images kept from them."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import selcn
from selcn.errors import ConfigError
from selcn.evaluation import fit_prediction_sets, fit_recalibration
from selcn.evaluation.predictions import Predictions
from selcn.inference.assembly import read_bundle
from selcn.inference.onnx.export import _Segment
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import CALIBRATION
from selcn.models.ensemble import Ensemble
from selcn.runs.bundling import BundleOptions, bundle_run
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import open_run


@pytest.fixture(scope="module")
def small_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "small"
    bundle_run(tiny_run, folder, options=BundleOptions(share=("lesion",), half=True))
    return folder


def test_a_shared_network_in_16_bits_is_stored_once_and_answers_as_its_copies_do(
    tiny_run: Path, small_bundle: Path
) -> None:
    run = open_run(tiny_run)
    config, ensemble = read_bundle(small_bundle)
    members = [run.cascade(fold, [*config.networks]) for fold in range(2)]
    members[1].networks["lesion"] = deepcopy(members[0].networks["lesion"])
    for member in members:
        member.networks.half().float()
    images = np.array(run.store.images[:5])
    expected, found = TorchEngine(Ensemble(members))(images), TorchEngine(ensemble)(images)
    assert expected.lesion is not None
    for name, probabilities in expected.probabilities.items():
        np.testing.assert_array_equal(found.probabilities[name], probabilities)
        np.testing.assert_array_equal(found.saliency[name], expected.saliency[name])
    np.testing.assert_array_equal(found.lesion, expected.lesion)
    np.testing.assert_array_equal(TorchEngine(ensemble).segment(images), expected.lesion)
    graph, prepared = _Segment(config, ensemble), torch.from_numpy(images)
    with torch.inference_mode():
        lesions = graph(prepared)
    assert len(graph.segmenters) == 1
    np.testing.assert_array_equal(lesions[:, 0], lesions[:, 1])
    np.testing.assert_allclose(lesions[:, 0], expected.lesion, atol=1e-5)

    def size(bundle: Path) -> int:
        return (bundle / "model.safetensors").stat().st_size

    halved = sum(value.numel() for value in members[0].networks["lesion"].state_dict().values())
    assert size(small_bundle) < size(tiny_run / "bundle") / 2 - halved


def test_metrics_of_a_changed_bundle_are_its_own(tiny_run: Path, small_bundle: Path) -> None:
    run, predictor = open_run(tiny_run), selcn.load(small_bundle)
    rows = run.test_rows
    predictions = predictor.predict_prepared(np.array(run.store.images[rows]), [(64, 48)] * len(rows))
    truth = run.table["diagnosis"].iloc[rows].to_list()
    right = np.mean([one["diagnosis"].prediction == name for one, name in zip(predictions, truth, strict=True)])
    metrics = pd.DataFrame(json.loads((small_bundle / "metrics.json").read_text()))
    assert set(metrics["fold_part"]) == {"test"}
    assert set(metrics["network"]) == {"lesion", "symmetry", "diagnosis"}
    of = metrics[metrics["network"] == "diagnosis"].set_index("metric")["value"]
    assert of["accuracy"] == pytest.approx(right)
    calibrated = [one["diagnosis"].probabilities[name] for one, name in zip(predictions, truth, strict=True)]
    assert of["nll"] == pytest.approx(-np.mean(np.log(calibrated)), abs=1e-4)
    assert predictor.config.reliability is not None
    assert predictor.config.reliability.networks["diagnosis"].temperature != pytest.approx(1, abs=1e-3)


def test_only_networks_of_the_bundle_can_be_shared(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--share diagnosis-standalone: is not in the bundle"):
        bundle_run(tiny_run, tmp_path / "bundle", options=BundleOptions(share=("diagnosis-standalone",)))
    assert not (tmp_path / "bundle").exists()


def test_temperature_is_that_of_the_ensemble_on_images_that_no_network_was_trained_on(
    phantom: pd.DataFrame,
    tmp_path: Path,
    small_networks: dict[str, dict[str, Any]],
    pipeline_of: Callable[..., Pipeline],
) -> None:
    phantom.to_csv(tmp_path / "catalog.csv", index=False)
    split = {"folds": 2, "test": 0.25, "calibration": 0.25, "duplicates": False}
    plain = {**small_networks["plain"], "labels": "symmetry-binary", "batch": 4}
    run = pipeline_of(tmp_path / "catalog.csv", tmp_path / "run", {"plain": plain}, split=split).run()
    rows = run.split.rows(run.table, CALIBRATION)
    assert run.split.parts == ["0", "1", CALIBRATION, "test"]
    assert not set(rows) & {*run.test_rows, *run.training_rows(0), *run.training_rows(1)}
    assert CALIBRATION not in set(run.predictions("plain").table["fold"])

    config, ensemble = read_bundle(run.folder.bundle)
    known = rows[run.labelled("plain")[rows]]
    probabilities = TorchEngine(ensemble)(np.array(run.store.images[known])).probabilities["plain"]
    names = config.labels("plain").names
    table = pd.DataFrame(probabilities.astype(np.float64), columns=names)
    table["image_id"] = run.table["image_id"].iloc[known].to_list()
    table = table.assign(group=table["image_id"].map(run.split.group), fold=CALIBRATION)
    table["truth"] = [names[number] for number in run.class_numbers("plain")[known]]
    bias = fit_recalibration(run.predictions("plain")).bias
    expected = fit_recalibration(Predictions.of(table, "by hand", config.labels("plain")), bias)
    assert expected.bias == pytest.approx(bias)
    assert config.reliability is not None
    assert config.reliability.networks["plain"].temperature == pytest.approx(expected.temperature, rel=1e-3)
    assert config.reliability.networks["plain"].bias == pytest.approx(expected.bias, abs=1e-3)

    # Prediction sets are fitted at the scale of the probabilities that they are made of: the ensemble's.
    bundled = bundle_run(run.folder.path, tmp_path / "bundle", options=BundleOptions(coverage=0.5))
    of_members = fit_prediction_sets(expected.of(run.predictions("plain")), 0.5)
    assert bundled.sets is not None
    assert bundled.sets.lowest == pytest.approx(of_members.thresholds, rel=1e-2)
