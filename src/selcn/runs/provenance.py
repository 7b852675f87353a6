"""What a run knows of where its labels come from, what its training took, and how to cite it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from selcn.labels.metadata import NEVER
from selcn.runs.plan import Kind
from selcn.runs.run import Run

BY = "_by"
"""End of a column that names who gave what the column before it holds: `mask_by`, `diagnosis_by`."""
MAX_NAMED = 5
MINUTE, HOUR = 60, 3600


def annotator_lines(table: pd.DataFrame) -> list[str]:
    """Who gave masks and labels, and how diagnoses were confirmed, as far as a catalog tells; one line a column.

    Args:
        table: a validated catalog. Columns that end in `_by` hold annotators, `dx_type` and `diagnosis_confirm_type`
            how a diagnosis was confirmed.
    """
    lines = []
    for column in table.columns:
        confirmed = column in NEVER
        if not (confirmed or column.endswith(BY)):
            continue
        counts = table.loc[table[column] != "", column].value_counts()
        named = [f"{word} ({count})" for word, count in counts.head(MAX_NAMED).items()]
        more = f" and {len(counts) - MAX_NAMED} more" if len(counts) > MAX_NAMED else ""
        what = "Diagnoses confirmed by" if confirmed else f"{column.removesuffix(BY).capitalize()} given by"
        known = ", ".join(named) + more or "nobody named"
        lines.append(f"{what}: {known}; {len(table) - int(counts.sum())} images without")
    return lines


def cost_lines(run: Run, networks: Sequence[str]) -> list[str]:
    """What the training of some networks took, by network and in all, and on which machines.

    Args:
        run: whose trainings have finished.
        networks: their names.
    """
    steps = [step for step in run.plan if step.network in networks and step.kind in (Kind.TRAIN, Kind.FEATURES)]
    manifests = [(step.network, run.folder.manifest(step)) for step in steps]
    spent = {name: sum(one["seconds"] for of, one in manifests if of == name) for name in networks}
    each = ", ".join(f"{name} {spoken_time(seconds)}" for name, seconds in spent.items())
    return [
        f"The trainings took {spoken_time(sum(spent.values()))} added up ({sum(spent.values()):.0f} seconds; {each}), "
        f"{run.split.folds} members of each network. Several may have run at once.",
        _machine_line(manifests, run.environment()),
    ]


def _machine_line(manifests: Sequence[tuple[str | None, Mapping[str, Any]]], started: Mapping[str, str]) -> str:
    """Where networks were trained; which of them where, if not all on one machine.

    Args:
        manifests: of steps, with their network.
        started: what the run was started with, for steps that do not tell.
    """
    trained: dict[str, dict[str | None, None]] = {}
    for network, one in manifests:
        words = str(one.get("machine", started.get("machine", "not recorded")))
        words += f", PyTorch {one['torch']}" if "torch" in one else ""
        trained.setdefault(words, {})[network] = None
    several = len(trained) > 1
    places = [words + (f" ({', '.join(map(str, names))})" if several else "") for words, names in trained.items()]
    return f"Machine{'s' * several}: {'; '.join(places)}; {started.get('system', 'unknown system')}."


def spoken_time(seconds: float) -> str:
    """Seconds in the unit that people would use, to two digits.

    Args:
        seconds: at least 0.
    """
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"


def citation() -> str:
    """BibTeX entries of selcn and of the thesis whose method it implements."""
    return f"""@software{{selcn,
  title = {{selcn: symmetry-enhanced skin lesion classification}},
  author = {{{{selcn contributors}}}},
  version = {{{version("selcn")}}}
}}
@mastersthesis{{selcn-thesis,
  title = {{Symmetry Enhanced Skin Lesion Classification Network}},
  school = {{University of Twente}}
}}"""
