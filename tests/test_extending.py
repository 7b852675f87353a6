"""What docs/extending.md shows works as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from selcn.config import RunConfig
from selcn.data.imaging import masking
from selcn.errors import ConfigError
from selcn.evaluation import Predictions, evaluate_classification, metric_spec, registry
from selcn.labels import HAM10000
from selcn.saliency import methods

PAGE = (Path(__file__).parent.parent / "docs" / "extending.md").read_text(encoding="utf-8")
REGISTRIES: list[dict[str, Any]] = [
    vars(module)[name]
    for module, name in (
        (registry, "METRICS"),
        (registry, "REGISTERED"),
        (masking, "_MASKINGS"),
        (methods, "_METHODS"),
    )
]


def block(heading: str, language: str = "python") -> str:
    """The one block of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What a block registers is forgotten after its test."""
    before = [dict(entries) for entries in REGISTRIES]
    yield
    for entries, old in zip(REGISTRIES, before, strict=True):
        entries.clear()
        entries.update(old)


def predictions_of(truth: list[str], malignant: list[float]) -> Predictions:
    """Predictions of two diagnoses, melanoma with these probabilities."""
    table = pd.DataFrame(0.0, index=range(len(truth)), columns=HAM10000.names)
    table["mel"], table["nv"] = malignant, 1 - np.array(malignant)
    names = [f"i{number}" for number in range(len(truth))]
    return Predictions(HAM10000, table.assign(image_id=names, group=names, fold="test", truth=truth))


def test_a_metric() -> None:
    exec(block("A metric of class probabilities"), {})
    # Two of three melanomas and one of two nevi are above 10 %: 2/5 - 1/9 * 1/5.
    predictions = predictions_of(["mel", "mel", "mel", "nv", "nv"], [0.9, 0.2, 0.05, 0.3, 0.01])
    row = evaluate_classification(predictions, resamples=200).set_index("metric").loc["net_benefit"]
    assert row["value"] == pytest.approx(2 / 5 - 1 / 45)
    assert row["low"] < row["value"] < row["high"]
    assert metric_spec("net_benefit").label == "net benefit at 10 %"
    assert "net_benefit" in registry.headline_metrics(["net_benefit", "macro_recall"])
    with pytest.raises(ConfigError, match="metric net_benefit: is registered already"):
        exec(block("A metric of class probabilities"), {})


def test_a_masking() -> None:
    exec(block("A masking"), {})
    mask = np.zeros((1, 60, 60), dtype=bool)
    mask[0, 20:40, 20:40] = True
    seen = masking.visible_region("rim", mask)[0]
    assert seen[30].nonzero()[0].tolist() == [*range(15, 25), *range(35, 45)]


def test_a_saliency_method() -> None:
    exec(block("A saliency method"), {})
    activations = torch.tensor([[[[1.0, 2.0, 4.0]], [[3.0, 0.0, 0.0]]]])
    saliency = methods.find_saliency("cam")(activations, torch.tensor([[1.0, -1.0]]), None)
    assert saliency.flatten().tolist() == [0.0, 0.5, 1.0]  # of -2, 2 and 4


def test_a_network(tiny_config: RunConfig) -> None:
    section = yaml.safe_load(block("A network", "yaml"))
    graph = RunConfig.model_validate({**tiny_config.model_dump(mode="json"), **section}).graph
    assert graph.needs("diagnosis") == ("symmetry", "melanocytic")
    labels = graph.classifiers["melanocytic"].labels
    assert labels.numbers(HAM10000.names) == [0, 0, 1, 1, 1, 1, 1]
    assert graph.bundled("diagnosis") == ["lesion", "symmetry", "melanocytic", "diagnosis"]
