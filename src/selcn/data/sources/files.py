"""Finding pictures, masks and tables below folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from selcn.errors import DataError, listed

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MASK_ENDINGS = ("_segmentation", "_mask", "_lesion")


def walk(folder: Path) -> list[Path]:
    """All files below a folder, sorted, through symbolic links too but never in a circle; hidden ones left out.

    Raises:
        DataError: no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such file or folder; check the path")
    return sorted(_walked(folder))


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted.

    Raises:
        DataError: no such folder, or it holds no images.
    """
    found = images(walk(folder))
    if not found:
        raise DataError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); check the path")
    return found


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths``, whatever their suffix, and the image files below its folders.

    Raises:
        DataError: a path does not exist, or a folder holds no images.
    """
    return [found for path in paths for found in ([path] if path.is_file() else find_images(path))]


def images(files: Iterable[Path]) -> list[Path]:
    """Those of the files that are named as pictures."""
    return [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]


def is_mask(path: Path) -> bool:
    """Whether a file's name ends as those of lesion masks do, in any case."""
    return path.stem.lower().endswith(MASK_ENDINGS)


def by_name(files: Iterable[Path], *, masks: bool = False) -> dict[str, Path]:
    """Files by the name of their image: their stem, without its ending where they are masks.

    Raises:
        DataError: files in several folders have one name; all are listed. Links to one file count once.
    """
    found: dict[str, Path] = {}
    faults = []
    for file in files:
        name = file.stem.rpartition("_")[0] if masks and is_mask(file) else file.stem
        first = found.setdefault(name, file)
        if first is not file and not first.samefile(file):
            faults.append(f"{first} and {file} have one name")
    if faults:
        raise DataError(f"{listed(faults)}; rename or remove one of each")
    return found


def _walked(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        state = Path(root).stat()
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above or beside
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        # Names with a leading dot are what systems and editors leave beside pictures.
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (path for name in names if not name.startswith(".") and (path := Path(root, name)).is_file())
