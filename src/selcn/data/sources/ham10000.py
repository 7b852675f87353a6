"""HAM10000 (Tschandl, Rosendahl, Kittler 2018)."""

from collections.abc import Iterable
from pathlib import Path

from selcn.data.discovery import by_name, masks_by_name, sort_files, walk_all
from selcn.data.naming import image_name, is_mask
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.data.sources.symderm import join_symmetry
from selcn.errors import DataError
from selcn.io.tables import lines, read_table

TABLES = ("", ".csv", ".tab")
"""Suffixes of the metadata table; the archive that publishes it hands it out under each of them."""


def index_ham10000(paths: Iterable[Path], *, symmetry: Path | None = None, skip_missing: bool = False) -> Indexed:
    """HAM10000 as a catalog: its metadata table, images and masks found below ``paths``.

    Args:
        paths: folders and files that together hold the images, the masks (optional) and one metadata CSV.
        symmetry: SymDerm's label CSV, joined by image.
        skip_missing: whether rows without an image are left out; they are refused otherwise.

    Raises:
        DataError: no or several metadata tables, a column is missing, or images are missing.
    """
    folders = list(paths)
    files = walk_all(folders)
    tables = [file for file in files if "metadata" in file.name.lower() and file.suffix.lower() in TABLES]
    if len(tables) != 1:
        raise DataError(
            f"{', '.join(map(str, folders))}: {len(tables)} metadata tables found; one *metadata*.csv is needed"
        )
    metadata = read_table(tables[0], ["image_id", "lesion_id", "dx"])
    metadata["image_id"] = metadata["image_id"].map(image_name)
    found = sort_files(files, folders)
    mask_of = masks_by_name([*found.masks, *filter(is_mask, found.images)])
    image_of = by_name(file for file in found.images if not is_mask(file))
    absent = metadata[~metadata["image_id"].isin([*image_of, ""])]
    if skip_missing:
        metadata = metadata.drop(index=absent.index)
    elif len(absent):
        first = f"{absent['image_id'].iloc[0]} of line {lines(absent)[0]}"
        raise DataError(
            f"{tables[0]}: {len(absent)} images are not below the folders given, the first {first}; add their folder, "
            "or leave them out with --skip-missing"
        )
    rows = metadata.rename(columns={"dx": "diagnosis", "localization": "site"}).assign(
        image_path=[str(image_of.get(name, "")) for name in metadata["image_id"]],
        mask_path=[str(mask_of.get(name, "")) for name in metadata["image_id"]],
        source="ham10000",
    )
    table = make_catalog(rows, str(tables[0]))
    notes = {
        "images that the table does not name": len(image_of.keys() - set(metadata["image_id"])),
        "rows skipped, whose image is not there": len(absent),
        **found.notes([*mask_of.values(), *tables, *([symmetry] if symmetry else [])]),
    }
    if symmetry is None:
        return Indexed(table, nonzero(notes))
    joined = join_symmetry(table, [symmetry])
    return Indexed(joined.table, nonzero(notes | joined.notes))


register_source(
    SourceSpec(
        "ham10000",
        "HAM10000 (Tschandl, Rosendahl & Kittler 2018)",
        reads="`HAM10000_metadata` with or without `.csv`/`.tab`, images in one or several folders, masks "
        "`*_segmentation.png` in either case of the S; `--symmetry` joins SymDerm",
        index=index_ham10000,
        licence="CC BY-NC 4.0 (Tschandl, Rosendahl & Kittler 2018)",
    )
)
