"""Figures of a run, computed from its prediction files alone."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from selcn.config import Variant
from selcn.evaluation.comparison import compare
from selcn.evaluation.crossvalidation import cross_validation
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.localisation import read_saliency_scores, summarise_saliency
from selcn.evaluation.significance import holm
from selcn.labels import Fusion
from selcn.runs.plan import EXPLAINED, explained_step

MEMBERS = "members"
"""Folder, among the predictions, of what each member alone said of the test part: `NAME-fold-k.csv`."""
SALIENCY_SCORES = "scores"
"""Folder, in the step that scores a head's saliency, of a row an image."""
COMPARISON = "comparison.csv"
SALIENCY = "saliency.csv"
CROSS_VALIDATION = "cross_validation.csv"


def write_figures(predictions: Path, variants: Sequence[Variant], out: Path, resamples: int) -> None:
    """Figures with intervals, each variant against the standalone of its masking, and each fold's figures.

    Args:
        predictions: folder of the prediction files.
        variants: of the lesion classifier.
        out: folder to fill.
        resamples: of each interval.
    """
    for path in sorted(predictions.glob("*.csv")):
        evaluate_file(path, resamples=resamples).to_csv(out / path.name, index=False)
    compared = [
        compare(predictions / f"{a}.csv", predictions / f"{b}.csv", resamples=resamples).assign(a=a, b=b)
        for a, b in pairs(variants)
    ]
    if compared:
        pd.concat(compared).to_csv(out / COMPARISON, index=False)
    folds = [
        cross_validation(path, sorted((predictions / MEMBERS).glob(f"{path.stem}-fold-*.csv"))).assign(name=path.stem)
        for path in sorted(predictions.glob("*.csv"))
        if path.stem != "segmentation"
    ]
    pd.concat(folds).to_csv(out / CROSS_VALIDATION, index=False)


def write_saliency_figures(run: Path, out: Path, resamples: int) -> None:
    """Figures of the saliency of every head that was scored; no file where none was."""
    files = [run / explained_step(head) / SALIENCY_SCORES / "scores.csv" for head in EXPLAINED]
    scores = [read_saliency_scores(path) for path in files if path.is_file()]
    if scores:
        summarise_saliency(pd.concat(scores), resamples=resamples).to_csv(out / SALIENCY, index=False)


def grid_table(evaluation: Path, variants: Sequence[Variant], metric: str = "balanced_accuracy") -> pd.DataFrame:
    """One row a variant: a metric with its interval, and its difference to the standalone of the same masking.

    ``p`` is that of a permutation by lesion, ``p_holm`` the same corrected for the number of differences.

    On the test part where there is one, else on validation.
    """
    standalone = {b: a for a, b in pairs(variants)}
    compared = pd.read_csv(evaluation / COMPARISON) if (evaluation / COMPARISON).exists() else pd.DataFrame()
    rows = []
    for variant in variants:
        figures = pd.read_csv(evaluation / f"{variant.name}.csv")
        part = "test" if (figures["fold_part"] == "test").any() else "validation"
        own = figures[(figures["metric"] == metric) & (figures["fold_part"] == part)].iloc[0]
        row = {"variant": variant.name, "part": part, metric: own["value"], "low": own["low"], "high": own["high"]}
        if variant.name in standalone:
            chosen = (compared["b"] == variant.name) & (compared["metric"] == metric) & (compared["fold_part"] == part)
            difference = compared[chosen].iloc[0]
            row |= {
                "difference": difference["value"],
                "difference_low": difference["low"],
                "difference_high": difference["high"],
                "p": difference["p"],
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist())) if "p" in table else table


def pairs(variants: Sequence[Variant]) -> list[tuple[str, str]]:
    """Names of each variant that reads saliency, behind that of the standalone of its masking."""
    standalone = {variant.mask: variant.name for variant in variants if variant.fusion is Fusion.NONE}
    return [(standalone[v.mask], v.name) for v in variants if v.fusion is not Fusion.NONE and v.mask in standalone]
