"""PH2 (Mendonca et al. 2013)."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from selcn.data.discovery import by_name, masks_by_name, sort_files, walk_all
from selcn.data.naming import is_mask
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import DataError, listed
from selcn.labels import SYMMETRY

LABELS = "ph2_dataset.txt"
DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
# PH2 counts asymmetry, and so runs against SymDerm, which counts symmetry.
SYMMETRIES = dict(zip("012", reversed(SYMMETRY.names), strict=True))


def index_ph2(paths: Iterable[Path], *, skip_missing: bool = False) -> Indexed:
    """PH2 as a catalog: the published tree or a flat one, and `PH2_dataset.txt` in either of its forms.

    Args:
        paths: folders and files that together hold images, masks `IMD002_lesion` (optional) and the label table.
        skip_missing: whether rows without an image are left out; they are refused otherwise.

    Raises:
        DataError: no or several label tables, wrong rows (all are named), or images are missing.
    """
    folders = list(paths)
    files = walk_all(folders)
    tables = [file for file in files if file.name.lower() == LABELS]
    if len(tables) != 1:
        raise DataError(
            f"{', '.join(map(str, folders))}: {len(tables)} label tables found; one PH2_dataset.txt is needed"
        )
    rows = read_ph2_labels(tables[0])
    found = sort_files(files, folders)
    image_of = by_name(file for file in found.images if not is_mask(file))
    mask_of = masks_by_name([*found.masks, *filter(is_mask, found.images)])
    there = rows["image_id"].isin(image_of)
    absent = list(rows["image_id"][~there])
    if absent and not skip_missing:
        raise DataError(
            f"{tables[0]}: {len(absent)} images are not there, the first {absent[0]}; add their folder, or leave them "
            "out with --skip-missing"
        )
    rows = rows[there]
    rows = rows.assign(
        image_path=[str(image_of[name]) for name in rows["image_id"]],
        mask_path=[str(mask_of.get(name, "")) for name in rows["image_id"]],
        source="ph2",
    )
    notes = {
        "images that the table does not name": len(image_of.keys() - set(rows["image_id"])),
        "rows skipped, whose image is not there": len(absent),
        **found.notes([*mask_of.values(), *tables]),
    }
    return Indexed(make_catalog(rows, str(tables[0])), nonzero(notes))


def read_ph2_labels(path: Path) -> pd.DataFrame:
    """Columns ``image_id, diagnosis, symmetry`` of `PH2_dataset.txt`, as published with `||` or as columns with tabs.

    A row begins with a case such as IMD002; the legend below the rows does not.

    Args:
        path: the file.

    Raises:
        DataError: unreadable, no rows, or rows that are no labels; all are named.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    first, *_ = text.splitlines() or [""]
    columns = [cell.strip().lower() for cell in first.split("\t")]
    rows, faults = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        case, diagnosis, asymmetry = _published(line) if "||" in line else _tabbed(line, columns)
        if not case.upper().startswith("IMD"):
            continue
        if diagnosis in DIAGNOSES and asymmetry in SYMMETRIES:
            rows.append({"image_id": case, "diagnosis": DIAGNOSES[diagnosis], "symmetry": SYMMETRIES[asymmetry]})
        else:
            faults.append(f"line {number}: {case} has diagnosis {diagnosis!r} and asymmetry {asymmetry!r}")
    if faults:
        raise DataError(f"{path}: {listed(faults)}; both are 0, 1 or 2")
    if not rows:
        raise DataError(f"{path}: holds no rows of cases such as IMD002; give PH2's own label table")
    return pd.DataFrame(rows)


def _published(line: str) -> tuple[str, str, str]:
    """Case, clinical diagnosis and asymmetry of `|| case || histology || clinical || asymmetry | ... || colours ||`."""
    _, case, _, diagnosis, criteria = [*(part.strip() for part in line.split("||")), *[""] * 4][:5]
    return case, diagnosis, criteria.partition("|")[0].strip()


def _tabbed(line: str, columns: list[str]) -> tuple[str, str, str]:
    """The same of a line whose cells are named by ``columns``."""
    cells = dict(zip(columns, (cell.strip().strip('"') for cell in line.split("\t")), strict=False))
    return cells.get("name", ""), cells.get("clinical diagnosis", ""), cells.get("asymmetry", "")


register_source(
    SourceSpec(
        "ph2",
        "PH2 (Mendonca et al. 2013)",
        reads="the published tree or flat folders; `PH2_dataset.txt` with bars as published, or with tabs",
        index=index_ph2,
        licence="research and benchmarking only (Mendonca et al. 2013)",
    )
)
