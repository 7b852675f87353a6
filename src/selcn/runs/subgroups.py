"""How the target of a run does in subgroups of its catalog: for the report, the model card and checklists."""

import numpy as np
import pandas as pd

from selcn.evaluation.localisation import read_saliency_scores
from selcn.evaluation.subgroups import subgroup_table
from selcn.runs.plan import explained_networks
from selcn.runs.run import Run

SUBGROUPS = {"sex": "sex", "age": "age", "site": "site", "source": "source", "lesion_share": "lesion size"}
"""What subgroups are formed by, and what that is called."""


def run_subgroups(run: Run, target: str) -> pd.DataFrame:
    """Balanced accuracy of a classifier by subgroups of the catalog's columns; empty where all are unknown.

    Args:
        run: that is evaluated.
        target: name of the classifier.

    Returns:
        The columns of `selcn.evaluation.subgroup_table`.
    """
    shares = run.table["image_id"].map(lesion_shares(run))
    facts = run.table.assign(lesion_share=shares.astype(object).fillna(""))
    known = [name for name in SUBGROUPS if name in facts and len(set(facts[name]) - {""}) > 1]
    if not known:
        return pd.DataFrame()
    return subgroup_table(run.predictions(target), facts, known, resamples=run.config.resamples)


def lesion_shares(run: Run) -> pd.Series:
    """Share of the image that the ground-truth mask covers, by image_id, of images with scored saliency.

    Args:
        run: whose saliency is scored.
    """
    files = [run.folder.saliency_scores(name) for name in explained_networks(run.graph)]
    found = [read_saliency_scores(path) for path in files if path.is_file()]
    if not found:
        return pd.Series(dtype=float)
    return pd.concat(found).drop_duplicates("image_id").set_index("image_id")["lesion_share"]


def subgroup_lines(table: pd.DataFrame) -> list[str]:
    """A Markdown table of subgroups, one row each; the worst of at least 20 images is marked.

    Args:
        table: of `run_subgroups`; empty for none.
    """
    if table.empty:
        return []
    rows = [
        f"| {SUBGROUPS[row['of']]} | {row['subgroup']}{' (worst)' * bool(row['worst'])} | "
        f"{_number(row['value'])} | {_interval(row['low'], row['high'])} | {row['images']} | {row['classes']} |"
        for row in table.to_dict("records")
    ]
    return ["| by | subgroup | balanced accuracy | 95 % interval | images | classes |", f"{'| --- ' * 6}|", *rows]


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
