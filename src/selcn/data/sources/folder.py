"""Images of one's own: a folder a class, or a folder and a table."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from selcn.data.discovery import by_name, find_images, is_mask, masks_by_name
from selcn.data.sources.indexed import Indexed, make_catalog
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import ConfigError, DataError, listed
from selcn.io.tables import lines, read_table, whole_numbers


def index_folder(
    path: Path, *, masks: Path | None = None, labels: Path | None = None, columns: Mapping[str, str] | None = None
) -> Indexed:
    """A folder of images as a catalog, diagnoses from its sub-folders' names or from a table.

    Masks are matched by file stem, with or without a `_segmentation`, `_mask` or `_lesion` ending; their folder may lie
    below the images'. Among the images themselves they need such an ending.

    Args:
        path: the folder.
        masks: folder of the masks.
        labels: a CSV with a row an image, matched by path below the folder, by file name or by stem. An image_id that
            is a file's name or path loses its suffix.
        columns: names of the CSV's columns by those of a catalog, where they differ.

    Raises:
        DataError: no images, images that share a stem, rows without an image, or masks that match nothing.
        ConfigError: a column is named that the CSV does not have.
    """
    images, mask_of = _apart(path, masks)
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


def _index(
    paths: Iterable[Path],
    *,
    masks: Path | None = None,
    labels: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Indexed:
    path, *others = paths
    if others:
        raise ConfigError("index folder: give one folder; `selcn index merge` joins catalogs of several")
    if columns and not labels:
        raise ConfigError("--column: names columns of a table; give it as --labels")
    return index_folder(path, masks=masks, labels=labels, columns=columns)


def _apart(path: Path, masks: Path | None) -> tuple[list[Path], dict[str, Path]]:
    """Images, and masks by the name of their image, also where the masks lie below the images or among them."""
    images = find_images(path)
    if masks is None:
        return images, {}
    files = find_images(masks)
    inside, home = masks.resolve(), path.resolve()
    if inside == home:
        return [file for file in images if not is_mask(file)], masks_by_name(filter(is_mask, files))
    if inside.is_relative_to(home):
        below = path / inside.relative_to(home)
        images = [file for file in images if not file.is_relative_to(below)]
    return images, masks_by_name(files)


def _by_folder(path: Path, images: list[Path]) -> pd.DataFrame:
    diagnosis_of = {file: "" if file.parent == path else file.relative_to(path).parts[0] for file in images}
    first_of = by_name(images)
    faults = [
        f"{first} and {file} are one image in two folders"
        for file, first in ((file, first_of[file.stem]) for file in images)
        if diagnosis_of[file] != diagnosis_of[first]
    ]
    if faults:
        raise DataError(f"{listed(faults)}; keep one of each")
    return pd.DataFrame(
        {
            "image_id": list(first_of),
            "image_path": [str(file) for file in first_of.values()],
            "diagnosis": [diagnosis_of[file] for file in first_of.values()],
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
    names = whole_numbers(rows[key]).str.replace("\\", "/", regex=False).str.removeprefix("./")
    found = _found(path, images, names)
    faults = [f"line {line}: {what}" for line, what in zip(lines(rows), found, strict=True) if isinstance(what, str)]
    if faults:
        raise DataError(f"{labels}: {listed(faults)}; correct the rows or remove them")
    files = [Path(file) for file in found]
    rows["image_path"] = [str(file) for file in files]
    if key == "image_id":
        rows["image_id"] = [name.removesuffix(file.suffix) for name, file in zip(names, files, strict=True)]
    elif "image_id" not in rows.columns:
        rows["image_id"] = [file.stem for file in files]
    return rows, {"images that the table does not name": len(set(images) - set(files))}


def _found(path: Path, images: list[Path], names: "pd.Series[str]") -> list[Path | str]:
    """The file that each row names, or what is wrong with it."""
    exact = {image.relative_to(path).as_posix(): [image] for image in images}
    loose: dict[str, list[Path]] = {}
    for image in images:
        for name in {image.name, image.stem}:
            loose.setdefault(name, []).append(image)
    found: list[Path | str] = []
    taken: set[Path] = set()
    for name in names:
        matches = exact.get(name) or loose.get(name, [])
        if len(matches) != 1:
            found.append(f"{len(matches)} images are named {name}" if matches else f"no image is named {name!r}")
        elif matches[0] in taken:
            found.append(f"{name} is the image of another row too")
        else:
            found.append(matches[0])
            taken.add(matches[0])
    return found


register_source(
    SourceSpec(
        "folder",
        "images of one's own",
        takes="PATH",
        reads="a sub-folder a diagnosis, or `--labels TABLE` with `--column diagnosis=THEIRS`; `--masks FOLDER`",
        index=_index,
    )
)
