"""A run's evidence beyond one metric a network: curves, subgroups, saliency, leaks."""

from dataclasses import dataclass

import pandas as pd

from selcn.evaluation import Estimate, subgroup_table
from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import FAITHFULNESS, LOCALISATION, NETWORK
from selcn.report.classifier_charts import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.embed import Download, Picture, embed_chart, embed_csv
from selcn.report.gallery import choose_extremes
from selcn.report.measurements import PARTS, Measurement, saliency_metrics, saliency_scores
from selcn.report.metric_tables import MetricTable
from selcn.runs.plan import explained_networks
from selcn.runs.run import Run

SUBGROUPS = ("sex", "age", "site", "source", "lesion_share")
CALLED = {"lesion_share": "lesion size"}
RANKED_BY = "energy"
"""The score by which saliency is called best and worst."""
_DIFFERENCE = f"{NETWORK} - "


@dataclass(frozen=True)
class SaliencyTable:
    """How good a network's saliency is.

    Attributes:
        figures: a row a kind of saliency.
        csv: the same with all there is.
        more: by how much the network's maps score more than each other kind, by `RANKED_BY`.
    """

    figures: MetricTable
    csv: Download
    more: dict[str, Measurement]


def curve_charts(run: Run, network: str) -> list[Picture]:
    """What a classifier's probabilities are worth, and selective answers of it beside what it is compared with."""
    predictions = run.predictions(network)
    rivals = [a for a, b in run.graph.pairs() if b == network]
    compared = {one: run.predictions(one) for one in [network, *rivals]}
    return [
        embed_chart(draw_roc(predictions), f"roc-{network}"),
        embed_chart(draw_precision_recall(predictions), f"precision-recall-{network}"),
        embed_chart(draw_reliability(predictions), f"reliability-{network}"),
        embed_chart(draw_risk_coverage(compared), f"risk-coverage-{network}"),
    ]


def subgroup_metrics(run: Run, network: str) -> pd.DataFrame:
    """Balanced accuracy of a classifier by what is known of the images; empty where nothing is."""
    facts, scores = run.table, _any_saliency_scores(run)
    if scores is not None:
        shares = scores.drop_duplicates("image_id").set_index("image_id")["lesion_share"]
        facts = facts.assign(lesion_share=facts["image_id"].map(shares).astype(object).fillna(""))
    known = [name for name in SUBGROUPS if name in facts and len(set(facts[name]) - {""}) > 1]
    if not known:
        return pd.DataFrame()
    return subgroup_table(run.predictions(network), facts, known, resamples=run.config.resamples)


def saliency_tables(run: Run) -> list[SaliencyTable]:
    """A table a network and what its saliency is compared with, on the foremost subset that was scored."""
    metrics = saliency_metrics(run)
    if metrics is None:
        return []
    part = next(part for part in PARTS if (metrics["fold_part"] == part).any())
    chosen = metrics[metrics["fold_part"] == part]
    return [
        _saliency_table(rows, part, f"{head}", f"{against}")
        for (head, against), rows in chosen.groupby(["head", "against"], sort=False)
    ]


def saliency_gallery(run: Run, network: str) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Test images of the best and of the worst saliency of a network and some at random, and each image's energy."""
    scores = saliency_scores(run, network)
    if scores is None:
        return {}, {}
    rows = scores[(scores["saliency"] == NETWORK) & (scores["against"] == "lesion")]
    return choose_extremes(rows, RANKED_BY), dict(zip(rows["image_id"], rows[RANKED_BY], strict=True))


def _any_saliency_scores(run: Run) -> pd.DataFrame | None:
    found = (saliency_scores(run, name) for name in explained_networks(run.graph))
    return next((scores for scores in found if scores is not None), None)


def _saliency_table(rows: pd.DataFrame, part: Part, head: str, against: str) -> SaliencyTable:
    shown = [name for name in (*LOCALISATION, "rank_correlation", *FAITHFULNESS) if (rows["metric"] == name).any()]
    kinds: dict[str, dict[str, Measurement]] = {}
    for row in rows.to_dict("records"):
        measurement = Measurement(Estimate(row["value"], row["low"], row["high"]), row["images"], row["groups"])
        kinds.setdefault(str(row["saliency"]), {})[str(row["metric"])] = measurement
    own = {kind: figures for kind, figures in kinds.items() if not kind.startswith(_DIFFERENCE)}
    more = {
        kind.removeprefix(_DIFFERENCE): figures[RANKED_BY]
        for kind, figures in kinds.items()
        if kind.startswith(_DIFFERENCE) and RANKED_BY in figures
    }
    table = MetricTable(f"Saliency of {head} against the {against}", part, shown, own, signed=False)
    return SaliencyTable(table, embed_csv(rows, f"saliency-{head}-{against}"), more)
