"""What predicts, as the page and its downloads say it: bundle, training data, metrics on the test subset."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selcn.evaluation.registry import METRICS
from selcn.inference.predictor import Predictor
from selcn.serving.schema import Identity
from selcn.serving.service import NOTICE

_TEST = "test"


@dataclass(frozen=True)
class TestMetric:
    """A metric of a network on the test subset.

    Attributes:
        label: the metric's display name.
        value: in three decimals.
        interval: of 95 %, `low to high`; "" where it has none.
        images: how many it was measured on; 0 where that is unknown.
    """

    __test__ = False  # no test case of pytest

    label: str
    value: str
    interval: str
    images: int


@dataclass(frozen=True)
class ModelFacts:
    """What predicts.

    Attributes:
        identity: bundle, engine and version.
        members: number of cascades in the ensemble.
        data: name, number of images and licence of each source of the data that it was trained and tested on.
        metrics: headline metrics on the test subset by network, the target's first.
        download: the same for a JSON file, with every metric on the test subset.
    """

    identity: Identity
    members: int
    data: Sequence[tuple[str, int, str]]
    metrics: Mapping[str, Sequence[TestMetric]]
    download: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """One line for below an answer: the bundle, the version and the first metric."""
        text = f"Model {self.identity.name} ({self.identity.hash[:12]}), selcn {self.identity.selcn}"
        for network, (first, *_) in self.metrics.items():
            spread = f" (95 % interval {first.interval})" if first.interval else ""
            return f"{text}; {network} on the test subset: {first.label} {first.value}{spread}"
        return text


def model_facts(predictor: Predictor, identity: Identity) -> ModelFacts:
    """What predicts, for people and for JSON.

    Args:
        predictor: of the bundle.
        identity: of its answers.
    """
    config = predictor.config
    test = [dict(row) for row in predictor.metrics if row.get("fold_part") == _TEST]
    sources = [source.model_dump() for source in config.sources]
    finite = [{key: None if _undefined(value) else value for key, value in row.items()} for row in test]
    order = sorted(config.networks, key=lambda name: name != config.target)
    headline = [row for row in test if _headline(str(row.get("metric")))]
    headline.sort(key=lambda row: list(METRICS).index(row["metric"]))
    shown = {name: [_metric(row) for row in headline if row.get("network") == name] for name in order}
    return ModelFacts(
        identity,
        config.members,
        [(source.name, source.images, source.licence) for source in config.sources],
        {name: metrics for name, metrics in shown.items() if metrics},
        {"notice": NOTICE, "model": identity.model_dump(), "sources": sources, "test_metrics": finite},
    )


def _headline(metric: str) -> bool:
    """Whether the page has room for it; never for a metric of a registry that this server does not have."""
    return metric in METRICS and METRICS[metric].headline


def _metric(row: Mapping[str, Any]) -> TestMetric:
    value, low, high = (row.get(key) for key in ("value", "low", "high"))
    text = "undefined" if _undefined(value) else f"{value:.3f}"
    interval = "" if _undefined(low) or _undefined(high) else f"{low:.3f} to {high:.3f}"
    return TestMetric(METRICS[row["metric"]].heading, text, interval, int(row.get("images") or 0))


def _undefined(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
