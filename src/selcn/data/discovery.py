"""Finding images, masks and tables below folders."""

import filecmp
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from selcn.data.imaging.address import HDF5_SUFFIXES, locate, printable
from selcn.data.imaging.read import count_frames, is_dicom
from selcn.data.naming import IMAGE_SUFFIXES, Role, image_name, mask_owner, owners, role_of
from selcn.errors import ConfigError, DataError, listed
from selcn.io import storage

TABLE_SUFFIXES = frozenset({".csv", ".parquet", ".tsv", ".tab", ".xlsx"})
SINGLE_SUFFIXES = IMAGE_SUFFIXES - {".tif", ".tiff", ".gif", ".webp", ".avif", ".dcm", ".dicom"}
"""Of files that are not opened to count their frames."""
_OF_DICOM = re.compile(r"\.\d+|\.ima|", re.IGNORECASE)
"""Suffixes of files that may be DICOM: none, the end of a UID, or of a scanner."""
logger = logging.getLogger(__name__)


class Sorted(NamedTuple):
    """Files by what they are.

    Attributes:
        images: addresses of images.
        masks: images that are the masks of others, by their names or folders.
        by_products: images that belong to others in another way, such as superpixels.
        others: files of other kinds.
    """

    images: list[Path]
    masks: list[Path]
    by_products: list[Path]
    others: list[Path]

    def notes(self, used: Iterable[Path] = ()) -> dict[str, int]:
        """How many files are not used, by what they are.

        Args:
            used: masks, by-products, and files of other kinds that are.
        """
        known = set(used)
        kinds = {"masks": self.masks, "by-products such as superpixels": self.by_products}
        counts = {f"{what} not used": len(set(files) - known) for what, files in kinds.items()}
        others = Counter(printable(file.suffix.lower()) or "no suffix" for file in self.others if file not in known)
        if others:
            counts[f"files of other kinds not used ({', '.join(sorted(others))})"] = others.total()
        return {what: count for what, count in counts.items() if count}


def walk(folder: Path) -> list[Path]:
    """All files below a folder, sorted, through symbolic links too but never in a circle; hidden ones left out.

    Args:
        folder: where to look.

    Returns:
        Paths as `selcn.data.imaging.address.printable` writes them.

    Raises:
        DataError: no such folder, one that cannot be read, or whose own path is not UTF-8.
    """
    if storage.is_remote(folder):
        found = [Path(address) for address in storage.find(folder)]
        if not found:
            raise DataError(f"{printable(folder)}: no such folder, or it is empty; check the address")
        return found
    if not folder.is_dir():
        remedy = "is a file; give its folder" if folder.exists() else "no such file or folder; check the path"
        raise DataError(f"{folder}: {remedy}")
    if printable(folder) != str(folder):
        raise DataError(f"{printable(folder)}: is not UTF-8; rename the folder")
    return [Path(printable(path)) for path in sorted(_walked(folder))]


def walk_all(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths`` and those below its folders, each once, in order.

    Args:
        paths: files and folders.

    Raises:
        DataError: a path does not exist, or a folder cannot be read.
    """
    found = (file for path in paths for file in ([Path(printable(path))] if path.is_file() else walk(path)))
    return list(dict.fromkeys(found))


def find_images(folder: Path) -> list[Path]:
    """All images below a folder, sorted; what else is there is counted in the log.

    Args:
        folder: where to look.

    Raises:
        DataError: no such folder, or it holds no images.
    """
    found = sort_files(walk(folder), [folder])
    left = ", ".join(f"{what}: {count}" for what, count in found.notes().items())
    if not found.images:
        raise DataError(f"{folder}: holds no images{f'; {left}' if left else ''}; check the path")
    if left:
        logger.info("%s: %s", folder, left)
    return found.images


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths``, whatever their suffix, and the images below its folders; of each file every frame.

    Args:
        paths: files and folders.

    Returns:
        Addresses of single images.

    Raises:
        DataError: a path does not exist, or a folder holds no images.
    """
    files = [found for path in paths for found in ([path] if _is_file(path) else find_images(path))]
    return [Path(address) for file in files for address in frame_addresses(printable(file))]


def _is_file(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES if storage.is_remote(path) else path.is_file()


def frame_addresses(path: str) -> list[str]:
    """The addresses of the frames of a file that holds several; its own of any other.

    Args:
        path: of the file, or an address.
    """
    suffix = Path(path).suffix.lower()
    found = locate(Path(path))
    single = not path or suffix in SINGLE_SUFFIXES or found.frame is not None or found.key
    count = 1 if single else count_frames(Path(path))
    return [path] if count == 1 else [f"{path}#{number}" for number in range(count)]


def sort_files(files: Iterable[Path], roots: Sequence[Path] = ()) -> Sorted:
    """Files by what they are; see `selcn.data.naming.role_of`.

    Args:
        files: of any kind.
        roots: the folders that were searched; only the names of folders below them count.
    """
    pictures, others = _pictures(files)
    names = {image_name(file).casefold() for file in pictures}
    lists: dict[Role, list[Path]] = {role: [] for role in Role}
    for file in pictures:
        root = next((one for one in roots if file.is_relative_to(one)), file.parent)
        lists[role_of(file.relative_to(root), names)].append(file)
    return Sorted(lists[Role.IMAGE], lists[Role.MASK], lists[Role.BY_PRODUCT], others)


def images(files: Iterable[Path]) -> list[Path]:
    """Those of the files that hold an image, told by suffix or, of DICOM, by content; each image of an HDF5 file.

    Args:
        files: of any kind.
    """
    return _pictures(files)[0]


def by_name(files: Iterable[Path], *, ending: str = "") -> dict[str, Path]:
    """Files by the name of their image, without ``ending``.

    Args:
        files: files, in any order.
        ending: what image names end in and their ids do not.

    Raises:
        DataError: different files have one name; all are listed. Links to a file, and copies of it as in sets that come
            with a folder twice, count once.
    """
    return _by(files, lambda file: image_name(file).removesuffix(ending))


def masks_by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Masks by the name of their image: their own, without its ending where they have one.

    Args:
        files: files, in any order.

    Raises:
        DataError: different files have one name, as for `by_name`.
    """
    return _by(files, lambda file: mask_owner(image_name(file)))


def match_masks(files: Iterable[Path], names: Iterable[str]) -> dict[str, Path]:
    """The mask of each image that has one, by the image's name.

    Args:
        files: masks, named as their image or with an ending or prefix of masks.
        names: of the images.

    Raises:
        DataError: different files are masks of one image.
    """
    known = {name.casefold(): name for name in names}

    def name_of(file: Path) -> str:
        own = image_name(file)
        candidates = (known.get(name.casefold(), "") for name in (own, *owners(own)))
        return next(filter(None, candidates), "")

    return _by(filter(name_of, files), name_of)


def _pictures(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Addresses of images, and the files that hold none."""
    pictures, others = list[Path](), list[Path]()
    for file in files:
        if file.suffix.lower() in IMAGE_SUFFIXES or locate(file).key:
            pictures.append(file)
        elif file.suffix.lower() in HDF5_SUFFIXES:
            held = _members(file)
            pictures += held
            others += [] if held else [file]
        else:
            (pictures if _holds_dicom(file) else others).append(file)
    return pictures, others


def _members(file: Path) -> list[Path]:
    from selcn.data.imaging.hdf5 import keys

    try:
        return [Path(f"{file}#{key}") for key in keys(file)]
    except (ConfigError, DataError) as error:
        logger.warning("%s", error)
        return []


def _holds_dicom(file: Path) -> bool:
    if not _OF_DICOM.fullmatch(file.suffix) or file.name.upper() == "DICOMDIR":
        return False
    try:
        with locate(file).file.open("rb") as opened:
            return is_dicom(opened.read(132))
    except OSError:
        return False


def _by(files: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    faults = []
    for file in files:
        first = found.setdefault(name_of(file), file)
        if first is not file and not _same(first, file):
            faults.append(f"{first} and {file} have one name")
    if faults:
        raise DataError(f"{listed(faults)}; rename or remove one of each")
    return found


def _same(one: Path, other: Path) -> bool:
    """Whether two files have one content; an image of an HDF5 file gives way to any other of its id."""
    first, second = locate(one), locate(other)
    return bool(first.key or second.key) or filecmp.cmp(first.file, second.file, shallow=False)


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
