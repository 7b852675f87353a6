"""The fit of measured symmetry is that of scikit-learn, and leaves out what cannot be measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from selcn.config import ClassificationSection
from selcn.data.datasets import Sources
from selcn.errors import ConfigError, DataError
from selcn.models.build import build_network
from selcn.models.mirror import Mirror
from selcn.tasks.classification import ClassificationTask
from selcn.training.measured import INVERSE_PENALTIES, fit_measures
from selcn.training.trainer import fit

COUNT = 40


def _section(labels: Any = "symmetry-binary") -> ClassificationSection:
    return ClassificationSection.model_validate({"labels": labels, "backbone": "mirror"})


def _sources(classes: int = 2) -> Sources:
    """Discs with a spot beside the centre whose darkness follows from the class; the last mask is empty."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :64]
    masks = np.broadcast_to((rows - 24) ** 2 + (columns - 32) ** 2 < 18**2, (COUNT, 48, 64)).copy()
    labels = np.arange(COUNT) % classes
    images = np.where(masks[..., None], (140, 90, 60), (225, 180, 160)).astype(np.uint8)
    spot = (rows - 20) ** 2 + (columns - 40) ** 2 < 6**2
    for image, label in zip(images, labels, strict=True):
        image[spot] = (110 + 25 * label + generator.integers(-25, 25), 70, 50)
    masks[-1] = False
    return Sources(SimpleNamespace(images=images), masks.astype(np.uint8), labels=labels)  # type: ignore[arg-type]


def _fitted(section: ClassificationSection, sources: Sources, out: Path) -> dict[str, Any]:
    folds = [np.arange(start, 30, 3) for start in range(3)]
    return fit_measures(ClassificationTask("s", section), sources, folds, np.arange(30, COUNT), out, lambda *_: None)


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_logistic_regression(tmp_path: Path, classes: int) -> None:
    sources, section = _sources(classes), _section("symmetry-binary" if classes == 2 else "symmetry")
    result = _fitted(section, sources, tmp_path)
    assert result["undefined"] == 1
    assert result["C"] in INVERSE_PENALTIES
    network = build_network(section.spec).eval()
    network.load_state_dict(load_file(tmp_path / "network.safetensors"))
    images = torch.from_numpy(sources.store.images).permute(0, 3, 1, 2) / 255
    masks = torch.from_numpy(sources.masks)[:, None].float()
    with torch.no_grad():
        measures = Mirror()(images, masks).measures.numpy().astype(float)[:-1]
        found = network(images, (), None, masks).softmax(1).numpy()
    scaler = StandardScaler().fit(measures[:30])
    truth = np.arange(30) % classes
    oracle = LogisticRegression(C=result["C"], max_iter=2000).fit(scaler.transform(measures[:30]), truth)
    assert found[:-1] == pytest.approx(oracle.predict_proba(scaler.transform(measures)), abs=1e-4)
    assert np.isnan(found[-1]).all()


def test_an_absent_class_is_improbable_and_one_alone_is_refused(tmp_path: Path) -> None:
    section = _section("symmetry")
    _fitted(section, _sources(2), tmp_path)
    bias = load_file(tmp_path / "network.safetensors")["head.linear.bias"]
    assert float(bias[2]) < float(bias[:2].min()) - 10
    with pytest.raises(DataError, match="only one class"):
        _fitted(section, _sources(1), tmp_path)


def test_is_not_trained_in_epochs(tmp_path: Path) -> None:
    rows = np.arange(10)
    with pytest.raises(ConfigError, match="measured, not trained"):
        fit(ClassificationTask("s", _section()), _sources(), rows, rows, tmp_path, seed=0)
