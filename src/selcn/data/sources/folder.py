"""Images of one's own: a folder a class, or a folder and a table."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import pandas as pd

from selcn.data.catalog import COLUMNS
from selcn.data.discovery import Sorted, by_name, images, match_masks, sort_files, walk
from selcn.data.naming import IMAGE_SUFFIXES, image_name
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import ConfigError, DataError, listed
from selcn.io.cells import other_case
from selcn.io.tables import lines, read_table, whole_numbers

SUBSETS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Folders that are no classes but subsets, as published."""
IMAGE_FOLDERS = frozenset({"images", "image", "imgs"})


class _Folder(NamedTuple):
    """A folder's images, the masks by the names of their images, and how many files are not used, by what they are."""

    path: Path
    images: list[Path]
    mask_of: dict[str, Path]
    notes: dict[str, int]


def index_folder(
    path: Path,
    *,
    masks: Path | None = None,
    labels: Path | None = None,
    columns: Mapping[str, str] | None = None,
    skip_missing: bool = False,
) -> Indexed:
    """A folder of images as a catalog, diagnoses from its sub-folders' names or from a table.

    A sub-folder is a diagnosis, unless it is called `train`, `val`, `test` or the like: then the next one is, and the
    source ends in that name. Masks are matched by file name, with or without an ending such as `_segmentation` or
    `_mask`; they may lie in a folder of their own, in a folder `masks` or beside their images (see
    `selcn.data.naming.role_of`).

    Args:
        path: the folder.
        masks: folder of the masks.
        labels: a table with a row an image, matched by path, by file name or by stem. An image_id that is a file's name
            or path loses its suffix.
        columns: names of the table's columns by those of a catalog, where they differ.
        skip_missing: whether rows without an image are left out; they are refused otherwise.

    Raises:
        DataError: no images, images that share a stem, rows without an image, or masks that match nothing.
        ConfigError: a column is named that the table does not have.
    """
    folder = _read_folder(path, masks, labels)
    if labels:
        rows, notes = _labelled(folder, labels, columns or {}, skip_missing=skip_missing)
    else:
        rows, notes = _by_folder(folder), {}
    rows["source"] = rows.get("source", path.resolve().name)
    own = rows.get("mask_path", pd.Series("", index=rows.index))
    stems = [image_name(name) for name in rows["image_path"]]
    rows["mask_path"] = [
        str(path / given) if given else str(folder.mask_of.get(stem, ""))
        for given, stem in zip(own, stems, strict=True)
    ]
    return Indexed(make_catalog(rows, str(labels or path)), nonzero(notes | folder.notes))


def _index(
    paths: Iterable[Path],
    *,
    masks: Path | None = None,
    labels: Path | None = None,
    columns: Mapping[str, str] | None = None,
    skip_missing: bool = False,
) -> Indexed:
    path, *others = paths
    if others:
        raise ConfigError("index folder: give one folder; `selcn index merge` joins catalogs of several")
    for given, what in ((columns, "--column: names columns"), (skip_missing, "--skip-missing: skips rows")):
        if given and not labels:
            raise ConfigError(f"{what} of a table; give it as --labels")
    return index_folder(path, masks=masks, labels=labels, columns=columns, skip_missing=skip_missing)


def _read_folder(path: Path, masks: Path | None, labels: Path | None) -> _Folder:
    """Images, and masks by the name of their image, also where the masks lie below the images or among them."""
    found = sort_files(walk(path), [path])
    given = list[Path]()
    if masks is not None and masks.resolve() != path.resolve():
        given = images(walk(masks))
        if masks.resolve().is_relative_to(path.resolve()):
            below = path / masks.resolve().relative_to(path.resolve())
            found = Sorted(*([file for file in files if not file.is_relative_to(below)] for files in found))
    if not found.images:
        left = "".join(f"; {what}: {count}" for what, count in found.notes().items())
        raise DataError(f"{path}: holds no images{left}; check the path")
    mask_of = match_masks([*given, *found.masks], map(image_name, found.images))
    if masks and not mask_of:
        raise DataError(f"{masks}: no mask is named after an image of {path}; name them IMAGE_mask.png or IMAGE.png")
    found.masks.extend(given)
    table = {file for file in found.others if labels and file.resolve() == labels.resolve()}
    return _Folder(path, found.images, mask_of, found.notes({*mask_of.values(), *table}))


def _by_folder(folder: _Folder) -> pd.DataFrame:
    path = folder.path
    place_of = {file: _place(file.relative_to(path).parts[:-1]) for file in folder.images}
    first_of = by_name(folder.images)
    faults = [
        f"{first} and {file} are one image in two folders"
        for file, first in ((file, first_of[image_name(file)]) for file in folder.images)
        if place_of[file] != place_of[first]
    ]
    if faults:
        raise DataError(f"{listed(faults)}; keep one of each")
    places = [place_of[file] for file in first_of.values()]
    source = path.resolve().name
    return pd.DataFrame(
        {
            "image_id": list(first_of),
            "image_path": [str(file) for file in first_of.values()],
            "diagnosis": [diagnosis for _, diagnosis in places],
            "source": [f"{source}-{subset.lower()}" if subset else source for subset, _ in places],
        }
    )


def _place(folders: tuple[str, ...]) -> tuple[str, str]:
    """The subset and the diagnosis that an image's folders name; "" where they name none."""
    subset, diagnosis = "", ""
    for folder in folders:
        if folder.lower() in SUBSETS and not subset:
            subset = folder
        elif folder.lower() not in IMAGE_FOLDERS:
            diagnosis = folder
            break
    return subset, diagnosis


def _labelled(
    folder: _Folder, labels: Path, columns: Mapping[str, str], *, skip_missing: bool
) -> tuple[pd.DataFrame, dict[str, int]]:
    rows = _named(read_table(labels), labels, columns)
    held = [name for name in rows.columns if name not in COLUMNS]
    key = next((name for name in ("image_path", "image_id") if name in rows.columns), None)
    if key is None:
        raise DataError(
            f"{labels}: no column image_id or image_path, but {', '.join(held)}; name one with --column image_id=THEIRS"
        )
    names = whole_numbers(rows[key]).str.replace("\\", "/", regex=False).str.removeprefix("./")
    found = _found(folder, names)
    notes = {f"rows of {labels.name} skipped, whose image is not there": 0}
    if skip_missing:
        there = [what != _absent(name) for what, name in zip(found, names, strict=True)]
        notes = dict.fromkeys(notes, there.count(False))
        rows, names = rows[there], names[there]
        found = [what for what, one in zip(found, there, strict=True) if one]
    faults = [f"line {line}: {what}" for line, what in zip(lines(rows), found, strict=True) if isinstance(what, str)]
    if faults:
        skip = ", or leave out rows without an image with --skip-missing" * any(map(_tells_absent, found))
        raise DataError(f"{labels}: {listed(faults)}; correct the rows or remove them{skip}")
    files = [Path(file) for file in found]
    rows = rows.assign(image_path=[str(file) for file in files])
    if key == "image_id":
        rows["image_id"] = [image_name(name) if _is_absolute(name) else _without_suffix(name) for name in names]
    elif "image_id" not in rows.columns:
        rows["image_id"] = [image_name(file) for file in files]
    notes["images that the table does not name"] = len(set(folder.images) - set(files))
    if "diagnosis" not in rows.columns:
        what = f"no column diagnosis, but {', '.join(held) or 'no other'}: name it with --column diagnosis=THEIRS"
        notes[f"images without a diagnosis, since {labels.name} has {what}"] = len(rows)
    return rows, notes


def _named(rows: pd.DataFrame, labels: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table with a catalog's names for its columns."""
    rows = rows.rename(columns=other_case(rows.columns, columns.values()))
    missing = [theirs for theirs in columns.values() if theirs not in rows.columns]
    if missing:
        raise ConfigError(f"--column: {labels} has no column {', '.join(missing)}; it holds {', '.join(rows.columns)}")
    ours = {theirs: name for name, theirs in columns.items()}
    rows = rows.drop(columns=[name for name in columns if name in rows.columns and name not in ours])
    rows = rows.rename(columns=ours)
    return rows.rename(columns=other_case(rows.columns, COLUMNS))


def _found(folder: _Folder, names: "pd.Series[str]") -> list[Path | str]:
    """The file that each row names, or what is wrong with it."""
    below = {image.relative_to(folder.path).as_posix(): image for image in folder.images}
    home = folder.path.resolve().as_posix()
    loose: dict[str, list[Path]] = {}
    for image in folder.images:
        for name in {image.name, image_name(image)}:
            loose.setdefault(name, []).append(image)
    found: list[Path | str] = []
    taken: set[Path] = set()
    for name in names:
        matches = _matches(name, below, loose, home)
        if len(matches) != 1:
            found.append(f"{len(matches)} images are named {name}" if matches else _absent(name))
        elif matches[0] in taken:
            found.append(f"{name} is the image of another row too")
        else:
            found.append(matches[0])
            taken.add(matches[0])
    return found


def _matches(name: str, below: Mapping[str, Path], loose: Mapping[str, list[Path]], home: str) -> list[Path]:
    """The images that a cell names: by path below the folder, by a longer path, or by name with or without suffix."""
    inside = name.removeprefix(f"{home}/")
    if inside in below:
        return [below[inside]]
    parts = name.split("/")
    for start in range(1, len(parts)):  # a path from elsewhere, absolute or relative to another folder
        if "/".join(parts[start:]) in below and not Path(name).is_file():
            return [below["/".join(parts[start:])]]
    return loose.get(name) or (loose.get(image_name(name), []) if "/" not in name else [])


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or PureWindowsPath(name).is_absolute()


def _without_suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else name


def _absent(name: str) -> str:
    return f"no image is named {name!r}"


def _tells_absent(what: Path | str) -> bool:
    return isinstance(what, str) and what.startswith("no image is named")


register_source(
    SourceSpec(
        "folder",
        "images of one's own",
        takes="PATH",
        reads="a sub-folder a diagnosis (below `train`, `test` and the like the next one), or `--labels TABLE` with "
        "`--column diagnosis=THEIRS`; masks beside the images, in a folder `masks`, or `--masks FOLDER`",
        index=_index,
    )
)
