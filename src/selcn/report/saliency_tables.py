"""Quality of a run's saliency in tables, beside its baselines."""

from dataclasses import dataclass

import pandas as pd

from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import FAITHFULNESS, LOCALISATION, NETWORK
from selcn.report.embed import Download, embed_csv
from selcn.report.measurements import PARTS, Measurement, measurements, saliency_metrics, saliency_scores
from selcn.report.metric_tables import MetricTable
from selcn.runs.run import Run

RANKED_BY = "energy"
"""The score by which saliency is called best and worst."""
_DIFFERENCE = f"{NETWORK} - "


@dataclass(frozen=True)
class SaliencyTable:
    """Quality of a network's saliency.

    Attributes:
        metrics: a row a kind of saliency.
        csv: all metrics, subsets and intervals, for download.
        more: difference of `RANKED_BY` between the network's maps and each other kind.
    """

    metrics: MetricTable
    csv: Download
    more: dict[str, Measurement]


def saliency_tables(run: Run) -> list[SaliencyTable]:
    """One table a network and region that its saliency is compared with, on the test subset or else on validation.

    Args:
        run: that is evaluated.
    """
    metrics = saliency_metrics(run)
    if metrics is None:
        return []
    part = next(part for part in PARTS if (metrics["fold_part"] == part).any())
    chosen = metrics[metrics["fold_part"] == part]
    return [
        _saliency_table(rows, part, f"{network}", f"{against}")
        for (network, against), rows in chosen.groupby(["head", "against"], sort=False)
    ]


def network_saliency_scores(run: Run, network: str) -> pd.DataFrame:
    """Scores of a classifier's maps against the lesion, one row an image; empty without ground-truth masks.

    Args:
        run: that is evaluated.
        network: name of the classifier.
    """
    scores = saliency_scores(run, network)
    if scores is None:
        return pd.DataFrame(columns=["image_id", "group", "fold", RANKED_BY])
    return scores[(scores["saliency"] == NETWORK) & (scores["against"] == "lesion")]


def _saliency_table(rows: pd.DataFrame, part: Part, network: str, against: str) -> SaliencyTable:
    shown = [name for name in (*LOCALISATION, "rank_correlation", *FAITHFULNESS) if (rows["metric"] == name).any()]
    kinds = {str(kind): measurements(of_kind)[part] for kind, of_kind in rows.groupby("saliency", sort=False)}
    own = {kind: found for kind, found in kinds.items() if not kind.startswith(_DIFFERENCE)}
    more = {
        kind.removeprefix(_DIFFERENCE): found[RANKED_BY]
        for kind, found in kinds.items()
        if kind.startswith(_DIFFERENCE) and RANKED_BY in found
    }
    table = MetricTable(f"Saliency of {network} against the {against}", part, shown, own, signed=False)
    return SaliencyTable(table, embed_csv(rows, f"saliency-{network}-{against}"), more)
