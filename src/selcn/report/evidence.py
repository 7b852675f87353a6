"""What of a run's evidence is more than one figure a network: curves, subgroups, saliency, leaks."""

from dataclasses import dataclass

import pandas as pd

from selcn.data.splits.split import leaking_images
from selcn.evaluation import Estimate, subgroup_table
from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import FAITHFULNESS, LOCALISATION, NETWORK
from selcn.labels import Head
from selcn.report.classifier_charts import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.embed import Download, Picture, embed_chart, embed_csv
from selcn.report.finished import FinishedRun, Measurement
from selcn.report.gallery import choose_extremes
from selcn.report.metric_tables import PARTS, FigureTable

SUBGROUPS = ("sex", "age", "site", "source", "lesion_share")
CALLED = {"lesion_share": "lesion size"}
RANKED_BY = "energy"
"""The score that says whose saliency is best and worst."""
_DIFFERENCE = f"{NETWORK} - "


@dataclass(frozen=True)
class SaliencyTable:
    """How good a head's saliency is.

    Attributes:
        figures: a row a kind of saliency.
        csv: the same with all there is.
        more: by how much the network's maps score more than each other kind, by `RANKED_BY`.
    """

    figures: FigureTable
    csv: Download
    more: dict[str, Measurement]


def curve_charts(run: FinishedRun) -> list[Picture]:
    """What the deployed classifier's probabilities are worth, and selective answers of it beside its standalone."""
    name = run.deployed.variant.name
    predictions = run.predictions(name)
    rivals = [a for a, b in run.comparisons() if b == name]
    return [
        embed_chart(draw_roc(predictions), f"roc-{name}"),
        embed_chart(draw_precision_recall(predictions), f"precision-recall-{name}"),
        embed_chart(draw_reliability(predictions), f"reliability-{name}"),
        embed_chart(
            draw_risk_coverage({one: run.predictions(one) for one in [name, *rivals]}), f"risk-coverage-{name}"
        ),
    ]


def subgroup_figures(run: FinishedRun) -> pd.DataFrame:
    """Balanced accuracy of the deployed classifier by what is known of the images; empty where nothing is."""
    facts = run.table
    scores = run.saliency_scores(Head.SYMMETRY)
    if scores is not None:
        shares = scores.drop_duplicates("image_id").set_index("image_id")["lesion_share"]
        facts = facts.assign(lesion_share=facts["image_id"].map(shares).astype(object).fillna(""))
    known = [name for name in SUBGROUPS if name in facts and len(set(facts[name]) - {""}) > 1]
    if not known:
        return pd.DataFrame()
    predictions = run.predictions(run.deployed.variant.name)
    return subgroup_table(predictions, facts, known, resamples=run.config.resamples)


def leaks(run: FinishedRun) -> dict[str, int]:
    """Images of each part whose lesion, patient or copy lies in another part as well."""
    return leaking_images(run.split, run.table)


def saliency_tables(run: FinishedRun) -> list[SaliencyTable]:
    """A table a head and what its saliency is held against, on the foremost part that was scored."""
    figures = run.saliency_figures()
    if figures is None:
        return []
    part = next(part for part in PARTS if (figures["fold_part"] == part).any())
    chosen = figures[figures["fold_part"] == part]
    return [
        _saliency_table(rows, part, f"{head}", f"{against}")
        for (head, against), rows in chosen.groupby(["head", "against"], sort=False)
    ]


def saliency_gallery(run: FinishedRun) -> dict[str, list[str]]:
    """Test images of the best and of the worst symmetry saliency, and some at random."""
    scores = run.saliency_scores(Head.SYMMETRY)
    if scores is None:
        return {}
    of_network = (scores["saliency"] == NETWORK) & (scores["against"] == "lesion")
    return choose_extremes(scores[of_network], RANKED_BY)


def saliency_energies(run: FinishedRun) -> dict[str, float]:
    """Share of each image's symmetry saliency that lies on the lesion, by image_id."""
    scores = run.saliency_scores(Head.SYMMETRY)
    if scores is None:
        return {}
    rows = scores[(scores["saliency"] == NETWORK) & (scores["against"] == "lesion")]
    return dict(zip(rows["image_id"], rows[RANKED_BY], strict=True))


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
    table = FigureTable(f"Saliency of {head} against the {against}", part, shown, own, signed=False)
    return SaliencyTable(table, embed_csv(rows, f"saliency-{head}-{against}"), more)
