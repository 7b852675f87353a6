"""Finding images, masks and tables below folders."""

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from selcn.errors import DataError, listed

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".dcm"})
MASK_ENDINGS = ("_segmentation", "_mask", "_lesion")


def walk(folder: Path) -> list[Path]:
    """All files below a folder, sorted, through symbolic links too but never in a circle; hidden ones left out.

    Args:
        folder: where to look.

    Raises:
        DataError: no such folder, or one that cannot be read.
    """
    if not folder.is_dir():
        remedy = "is a file; give its folder" if folder.exists() else "no such file or folder; check the path"
        raise DataError(f"{folder}: {remedy}")
    return sorted(_walked(folder))


def walk_all(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths`` and those below its folders, each once, in order.

    Args:
        paths: files and folders.

    Raises:
        DataError: a path does not exist, or a folder cannot be read.
    """
    return list(dict.fromkeys(file for path in paths for file in ([path] if path.is_file() else walk(path))))


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted.

    Args:
        folder: where to look.

    Raises:
        DataError: no such folder, or it holds no images.
    """
    found = images(walk(folder))
    if not found:
        raise DataError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); check the path")
    return found


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths``, whatever their suffix, and the image files below its folders.

    Args:
        paths: files and folders.

    Raises:
        DataError: a path does not exist, or a folder holds no images.
    """
    return [found for path in paths for found in ([path] if path.is_file() else find_images(path))]


def images(files: Iterable[Path]) -> list[Path]:
    """Those of the files that are named as images.

    Args:
        files: of any kind.
    """
    return [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]


def is_mask(path: Path) -> bool:
    """Whether a file's name ends as those of lesion masks do, in any case.

    Args:
        path: the file; only its name counts.
    """
    return path.stem.lower().endswith(MASK_ENDINGS)


def by_name(files: Iterable[Path], *, ending: str = "") -> dict[str, Path]:
    """Files by the name of their image: their stem, without ``ending``.

    Args:
        files: files, in any order.
        ending: what image names end in and their ids do not.

    Raises:
        DataError: different files have one name; all are listed. Links to a file, and copies of it as in sets that come
            with a folder twice, count once.
    """
    return _by(files, lambda file: file.stem.removesuffix(ending))


def masks_by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Masks by the name of their image: their stem, without its ending where they have one.

    Args:
        files: files, in any order.

    Raises:
        DataError: different files have one name, as for `by_name`.
    """
    return _by(files, lambda file: file.stem.rpartition("_")[0] if is_mask(file) else file.stem)


def _by(files: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    faults = []
    for file in files:
        first = found.setdefault(name_of(file), file)
        if first is not file and not filecmp.cmp(first, file, shallow=False):
            faults.append(f"{first} and {file} have one name")
    if faults:
        raise DataError(f"{listed(faults)}; rename or remove one of each")
    return found


def _walked(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        state = Path(root).stat()
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above or beside
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        # Names with a leading dot are what systems and editors leave beside pictures.
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (path for name in names if not name.startswith(".") and (path := Path(root, name)).is_file())


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from None
