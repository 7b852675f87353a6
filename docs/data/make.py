"""Writes docs/data.md: `page.md` beside this script, with the numbers that `measure.py` made and tables of the code.

python docs/data/make.py
"""

import json
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from selcn.data.audit.findings import KINDS
from selcn.data.rephotographs import NEIGHBOURS
from selcn.data.sources import source_specs
from selcn.labels import CONCEPTS, LABEL_SETS

HERE = Path(__file__).parent
PAGE = HERE.parent / "data.md"


def page() -> str:
    """The whole page."""
    audited, copies = _json("audit.json"), _csv("copies")
    names = pd.DataFrame(
        [(f"`{one.name}`", one.parent, ", ".join(one.words)) for one in CONCEPTS.values()],
        columns=["diagnosis", "is a kind of", "is also called"],
    )
    sets = pd.DataFrame(
        [(f"`{one.name}`", one.column, ", ".join(one.names)) for one in LABEL_SETS.values()],
        columns=["label set", "column", "classes"],
    )
    kinds = pd.DataFrame(
        [(kind, one.severity, one.mend, one.meaning) for kind, one in KINDS.items()],
        columns=["finding", "severity", "`--fix`", "meaning"],
    )
    sources = pd.DataFrame(
        [(f"`{name} {spec.takes}`", spec.reads) for name, spec in source_specs().items()],
        columns=["`selcn index`", "reads"],
    )
    return Template((HERE / "page.md").read_text(encoding="utf-8")).substitute(
        catalogs=_catalogs(),
        sources=_markdown(sources),
        diagnoses=_markdown(names),
        sets=_markdown(sets),
        findings=_markdown(_csv("findings").drop(columns="findings").rename(columns={"kind": "finding"})),
        kinds=_markdown(kinds),
        verdict="Something blocks" if audited["blocking"] else "Nothing blocks",
        copied=f"{copies['pictures'].iloc[0]:,}",
        copies=_markdown(copies.drop(columns="pictures")),
        neighbours=NEIGHBOURS,
        crops=_markdown(_csv("crops")),
        leaks=_markdown(_csv("leaks")),
        **{name: _markdown(_csv(name)) for name in ("grouped", "thesis", "external")},
        **_numbers("audit", audited),
        **{key: text for name, split in _json("splits.json").items() for key, text in _numbers(name, split).items()},
    )


def _numbers(of: str, values: dict[str, Any]) -> dict[str, str]:
    return {f"{of}_{name.replace(' ', '_')}": f"{value:,}" for name, value in values.items()}


def _catalogs() -> str:
    rows = []
    for name, counts in _json("catalogs.json").items():
        aside = "; ".join(f"{count} {what}" for what, count in counts.pop("notes").items())
        rows.append({"catalog": name, **counts, "left aside": aside or "nothing"})
    return _markdown(pd.DataFrame(rows))


def _json(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return tree


def _csv(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"{name}.csv").rename(columns={"part": "subset"})


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
