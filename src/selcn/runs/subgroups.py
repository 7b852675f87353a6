"""How the networks of a run do in subgroups of its images: for the report, the model card and checklists."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from selcn.data.appearance import ARTEFACTS, ITA
from selcn.evaluation.intervals import fold_parts
from selcn.evaluation.subgroups import MIN_SUBGROUP_IMAGES, score_subgroup_table, subgroup_table
from selcn.runs.facts import LESION_SHARE, SKIN_LABELS, run_facts
from selcn.runs.run import Run

SUBGROUPS = {
    **{name: name for name in ("sex", "age", "site", "source")},
    **dict.fromkeys(SKIN_LABELS, "skin, as labelled"),
    LESION_SHARE: "lesion's share of the image",
    ITA: "skin, estimated",
    **{name: f"{name}, estimated" for name in ARTEFACTS},
}
"""What subgroups are formed by, and what that is called."""


def run_subgroups(run: Run, network: str, facts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Balanced accuracy of a classifier, or Dice of masks, by subgroups of what is known; empty where all are alike.

    Args:
        run: that is evaluated.
        network: its name.
        facts: of `run_facts`; None measures them.

    Returns:
        The columns of `selcn.evaluation.subgroup_table`.
    """
    facts = run_facts(run) if facts is None else facts
    known = known_columns(facts)
    scores = run.scores() if network == run.graph.segmenter else run.predictions(network).table
    if scores is None or not known:
        return pd.DataFrame()
    shown = next(iter(fold_parts(scores).values()))["image_id"]
    if not set(shown).issubset(facts["image_id"]):
        return pd.DataFrame()
    if network == run.graph.segmenter:
        return score_subgroup_table(scores, facts, known, resamples=run.config.resamples)
    return subgroup_table(run.predictions(network), facts, known, resamples=run.config.resamples)


def known_columns(facts: pd.DataFrame) -> list[str]:
    """Columns of `SUBGROUPS` in which images are known to differ.

    Args:
        facts: of `run_facts`.
    """
    return [name for name in SUBGROUPS if name in facts and len(set(facts[name]) - {""}) > 1]


def subgroup_lines(table: pd.DataFrame) -> list[str]:
    """A Markdown table of subgroups, one row each; the worst is marked, which is never `unknown`.

    Subgroups of few images have no interval: resampling so few cannot tell what others would give.

    Args:
        table: of `run_subgroups`; empty for none.
    """
    if table.empty:
        return []
    rows = [
        f"| {SUBGROUPS[row['of']]} | {row['subgroup']}{' (worst)' * bool(row['worst'])} | "
        f"{_number(row['value'])} | {_interval(row)} | {row['images']} | {row['classes']} |"
        for row in table.to_dict("records")
    ]
    return ["| by | subgroup | balanced accuracy | 95 % interval | images | classes |", f"{'| --- ' * 6}|", *rows]


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3f}"


def _interval(row: Mapping[Any, Any]) -> str:
    return (
        f"{row['low']:.3f} to {row['high']:.3f}"
        if row["images"] >= MIN_SUBGROUP_IMAGES and not np.isnan(row["low"])
        else ""
    )
