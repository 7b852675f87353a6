"""Prediction rows as flat tables: CSV and Parquet."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from selcn.errors import ConfigError
from selcn.io.files import written_whole

_GROUP = 5_000  # rows a Parquet row group, which bounds the memory
_DRAWN = ("overlay", "mask", "segmentation")
_BOX = ("x", "y", "width", "height")


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its outline and maps, every value in a column of its own; of an error, that alone."""
    flat = {name: row.get(name) for name in ("image", "frame", "error", "width", "height")}
    if "error" in row:
        return flat
    lesion = row["lesion"]
    flat |= {"lesion_found": lesion["found"], "lesion_share": lesion["share"]}
    flat |= {f"box_{name}": value for name, value in zip(_BOX, lesion["box"], strict=True)}
    for head in ("symmetry", "diagnosis"):
        flat[head] = row[head]["prediction"]
        flat |= {f"{head}_{name}": value for name, value in row[head]["probabilities"].items()}
    flat |= {"abstain": row["abstain"], "warnings": "; ".join(row["warnings"]), "distance": row["distance"]}
    return flat | {name: row.get(name) for name in _DRAWN}


def columns(symmetry: Sequence[str], diagnosis: Sequence[str]) -> list[str]:
    """Columns of flat rows, in order, for the classes of a bundle."""
    heads = {"symmetry": symmetry, "diagnosis": diagnosis}
    said = [name for head, classes in heads.items() for name in (head, *(f"{head}_{one}" for one in classes))]
    size = ["image", "frame", "error", "width", "height", "lesion_found", "lesion_share"]
    return [*size, *(f"box_{name}" for name in _BOX), *said, "abstain", "warnings", "distance", *_DRAWN]


def write_csv(rows: Iterable[dict[str, Any]], columns: list[str], path: Path) -> None:
    """Write flat rows, whole or not at all."""
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="raise")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(rows: Iterable[dict[str, Any]], columns: list[str], path: Path) -> None:
    """Write flat rows, whole or not at all.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("--format parquet: needs an extra; `pip install selcn[parquet]`") from None
    texts = {"image", "error", "symmetry", "diagnosis", "warnings", "overlay", "mask"}
    whole = {"frame", "width", "height", *(f"box_{name}" for name in _BOX)}
    kinds = {"lesion_found": pa.bool_(), "abstain": pa.bool_()}
    schema = pa.schema(
        [
            (name, kinds.get(name) or (pa.string() if name in texts else pa.int64() if name in whole else pa.float64()))
            for name in columns
        ]
    )
    with written_whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _GROUP)):
        yield group
