"""What docs/results.md says of CAM transfer in the run that ships: paired differences between twins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tables import difference_table

RUN = Path(__file__).parent / "ham10000"
ARM, BOUND = "diagnosis", 0.01
"""The network that reads saliency, and the bound of equivalence that docs/protocol.md states."""
AGAINST = ("diagnosis-standalone", "diagnosis-zero")


def primary(subset: str = "test") -> dict[str, Mapping[Any, Any]]:
    """The difference in balanced accuracy from each twin."""
    table = pd.read_csv(RUN / "comparison.csv")
    chosen = (table["metric"] == "balanced_accuracy") & (table["fold_part"] == subset) & (table["b"] == ARM)
    return {str(row["a"]): row for row in table[chosen].to_dict("records")}


def points(row: Mapping[Any, Any], kind: str = "") -> str:
    """A difference in percentage points with its interval, by lesion or another `kind` of it."""
    value, low, high = (round(100 * row[name], 1) + 0.0 for name in ("value", f"low{kind}", f"high{kind}"))  # no -0.0
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def judge(row: Mapping[Any, Any]) -> str:
    """What the protocol makes of a difference from the twin that stands alone."""
    low, high = row["low"], row["high"]
    if low > 0 or high < 0:
        return "it helps" if low > 0 else "it harms"
    return "it makes no difference that matters" if inside_bounds(row) else "these data do not decide it"


def inside_bounds(row: Mapping[Any, Any]) -> bool:
    """Whether a difference is of no matter, by the protocol."""
    return bool(row["low"] >= -BOUND and row["high"] <= BOUND)


def judge_both(twin: str) -> str:
    """What test subset and folds together make of a difference: what both show, else that they do not agree."""
    found = {judge(primary(subset)[twin]) for subset in ("test", "validation")}
    return found.pop() if len(found) == 1 else "the two together do not decide it"


def transfer_sections() -> list[str]:
    """The page's section."""
    held = primary("validation")
    out_of_fold = " and ".join(f"{points(held[twin])} from {twin}" for twin in AGAINST)
    words = (
        f"By the bounds of the protocol, against diagnosis-standalone {judge(primary()[AGAINST[0]])}; against "
        f"diagnosis-zero, a second difference that is not corrected for (p = {primary()[AGAINST[1]]['p']:.3f}), "
        f"{judge(primary()[AGAINST[1]])} on the test subset, and with the folds {judge_both(AGAINST[1])}."
    )
    held_out = f"The validation folds, on which single members answer, show {out_of_fold}."
    return [TEXT, difference_table(RUN, bounds=BOUND), f"{words} {held_out}"]


TEXT = """### Does CAM transfer help?

The diagnosis network, which reads Grad-CAM++ of symmetry through the E-layer, against its twins, trained in the same
run with the same split, initial weights, schedule and seeds: `diagnosis-standalone` has neither saliency nor E-layer,
`diagnosis-zero` the same layer but zeros for the saliency. Ensembles of five members, paired over the same images, 95 %
intervals by lesion; the variance of training is not in them, since each was trained with one seed. As the
[protocol](protocol.md) says, an interval inside ±1 point would mean no difference that matters."""
