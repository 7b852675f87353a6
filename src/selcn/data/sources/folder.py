"""Pictures of one's own: a folder a class, or a folder and a table."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from selcn.data.sources.files import by_name, find_images
from selcn.data.sources.indexed import Indexed, make_catalog
from selcn.errors import ConfigError, DataError, listed
from selcn.tables import lines, read_table, whole_numbers


def index_folder(
    path: Path, *, masks: Path | None = None, labels: Path | None = None, columns: Mapping[str, str] | None = None
) -> Indexed:
    """A folder of images as a catalog, diagnoses from its sub-folders' names or from a table.

    Masks are matched by file stem, with or without a `_segmentation`, `_mask` or `_lesion` ending.

    Args:
        path: the folder.
        masks: folder of the masks.
        labels: a CSV with a row an image, matched by path below the folder, by file name or by stem.
        columns: names of the CSV's columns by those of a catalog, where they differ.

    Raises:
        DataError: no images, images that share a stem, rows without an image, or masks that match nothing.
        ConfigError: a column is named that the CSV does not have.
    """
    images = find_images(path)
    mask_of = by_name(find_images(masks), masks=True) if masks else {}
    if masks and not any(image.stem in mask_of for image in images):
        raise DataError(f"{masks}: no mask is named after an image of {path}; name them IMAGE_mask.png or IMAGE.png")
    if labels:
        rows, notes = _labelled(path, images, labels, columns or {})
    else:
        rows, notes = _by_folder(path, images), {}
    rows["source"] = rows.get("source", path.resolve().name)
    own = rows.get("mask_path", pd.Series("", index=rows.index))
    stems = [Path(name).stem for name in rows["image_path"]]
    rows["mask_path"] = [
        str(path / given) if given else str(mask_of.get(stem, "")) for given, stem in zip(own, stems, strict=True)
    ]
    return Indexed(make_catalog(rows, str(labels or path)), notes)


def _by_folder(path: Path, images: list[Path]) -> pd.DataFrame:
    by_name(images)  # refuses doubled names, with their places
    return pd.DataFrame(
        {
            "image_id": [image.stem for image in images],
            "image_path": [str(image) for image in images],
            "diagnosis": ["" if image.parent == path else image.relative_to(path).parts[0] for image in images],
        }
    )


def _labelled(
    path: Path, images: list[Path], labels: Path, columns: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    rows = read_table(labels)
    missing = [theirs for theirs in columns.values() if theirs not in rows.columns]
    if missing:
        raise ConfigError(f"--column: {labels} has no column {', '.join(missing)}; it holds {', '.join(rows.columns)}")
    ours = {theirs: name for name, theirs in columns.items()}
    rows = rows.drop(columns=[name for name in columns if name in rows.columns and name not in ours]).rename(
        columns=ours
    )
    key = next((name for name in ("image_path", "image_id") if name in rows.columns), None)
    if key is None:
        raise DataError(f"{labels}: no column image_id or image_path; name one with --column image_id=THEIRS")
    found = _found(path, images, whole_numbers(rows[key]))
    faults = [f"line {line}: {what}" for line, what in zip(lines(rows), found, strict=True) if isinstance(what, str)]
    if faults:
        raise DataError(f"{labels}: {listed(faults)}; correct the rows or remove them")
    files = [Path(file) for file in found]
    rows["image_path"] = [str(file) for file in files]
    if "image_id" not in rows.columns:
        rows["image_id"] = [file.stem for file in files]
    return rows, {"images that the table does not name": len(set(images) - set(files))}


def _found(path: Path, images: list[Path], names: "pd.Series[str]") -> list[Path | str]:
    """The file that each row names, or what is wrong with it."""
    files: dict[str, list[Path]] = {}
    for image in images:
        for name in {image.relative_to(path).as_posix(), image.name, image.stem}:
            files.setdefault(name, []).append(image)
    found: list[Path | str] = []
    for name in names:
        matches = files.get(name.replace("\\", "/").removeprefix("./"), [])
        if len(matches) == 1:
            found.append(matches[0])
        else:
            found.append(f"{len(matches)} images are named {name}" if matches else f"no image is named {name!r}")
    return found
