"""One image with its mask -> what is wrong with the two files, and a fingerprint to find duplicates by."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from selcn.data.duplicates import SIDE, Fingerprint, fingerprint
from selcn.data.imaging.address import locate
from selcn.data.imaging.decode import Header, ImageFileError
from selcn.data.imaging.read import read_file, read_mask, same_aspect
from selcn.errors import DataError
from selcn.io.files import write_text
from selcn.io.threads import thread_count

FAULTS, THUMBNAILS = "faults.json", "thumbnails.npy"
MIN_SIDE, MAX_ASPECT = 32, 4
SUFFIXES_OF = {
    "DICOM": {".dcm", ".dicom", ".ima"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "HEIF": {".heic"},
}
"""Further suffixes of formats; photographs of two views or with a depth map are JPEG files to everyone but Pillow."""
TWO_LEVELS, TWO_VALUED = 12, 0.99
"""Grey levels around black or white as JPEG stores them, and the share of such pixels in an image that is a mask."""
BLANK_SPREAD = 2  # grey levels between a picture's darkest and brightest
BORDER_LESION = 0.8
"""Share of a mask's border that is lesion where black and white are exchanged; no mask of HAM10000 and PH2 with less
lesion in its middle than along its border comes near."""

Fault = tuple[str, str]


class Inspected(NamedTuple):
    """Faults as kind and detail, and the image's fingerprint where it could be decoded."""

    faults: list[Fault]
    print: Fingerprint | None


def inspect(image_path: str, mask_path: str) -> Inspected:
    """Read an image and its mask once each and say what is wrong with them.

    Args:
        image_path: the image's file.
        mask_path: its mask's file; "" where it has none.
    """
    path = Path(image_path)
    try:
        data, header, frames = read_file(path)
    except ImageFileError as error:
        return Inspected([(error.kind, str(error))], None)
    image = frames[0]
    faults = [("several-frames", f"{len(frames)} frames")] if len(frames) > 1 else []
    faults += _image_faults(header, image, path)
    if mask_path:
        faults += _mask_faults(Path(mask_path), image)
    else:
        faults.append(("no-mask", ""))
    return Inspected(faults, fingerprint(data, image))


def inspect_all(
    table: pd.DataFrame, *, jobs: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[Inspected]:
    """What `inspect` says of each row of a catalog, in order, several read at once.

    Args:
        table: a validated catalog, or rows of one.
        jobs: threads, all cores by default.
        on_progress: called with images read and images in all.
    """
    with ThreadPoolExecutor(jobs or thread_count()) as pool:
        for done, one in enumerate(pool.map(inspect, table["image_path"], table["mask_path"]), start=1):
            yield one
            if on_progress:
                on_progress(done, len(table))


def write_inspected(inspected: Sequence[Inspected], folder: Path) -> None:
    """Write what is known of some rows, for `read_inspected`.

    Args:
        inspected: one a row.
        folder: an existing one.
    """
    rows = [(one.faults, one.print.digest.hex() if one.print else None) for one in inspected]
    write_text(folder / FAULTS, json.dumps(rows))
    prints = [one.print.thumbnail for one in inspected if one.print]
    np.save(folder / THUMBNAILS, np.array(prints, np.uint8).reshape(-1, SIDE, SIDE))


def read_inspected(folder: Path) -> Iterator[Inspected]:
    """What `write_inspected` wrote, in order.

    Args:
        folder: that holds it.
    """
    thumbnails = iter(np.load(folder / THUMBNAILS))
    for faults, digest in json.loads((folder / FAULTS).read_text(encoding="utf-8")):
        found = Fingerprint(bytes.fromhex(digest), next(thumbnails)) if digest else None
        yield Inspected([(kind, detail) for kind, detail in faults], found)


def _image_faults(header: Header, image: np.ndarray, path: Path) -> list[Fault]:
    height, width = image.shape[:2]
    checks = {
        "wrong-extension": (
            not _named_so(path, header.format),
            f"is {header.format}, named {path.suffix or 'without a suffix'}",
        ),
        "not-rgb": (header.mode != "RGB", f"stored as {header.mode}"),
        "exif-turned": (header.orientation != 1, f"orientation {header.orientation}"),
        "tiny": (min(width, height) < MIN_SIDE, f"{width}x{height}"),
        "odd-aspect": (max(width, height) > MAX_ASPECT * min(width, height), f"{width}x{height}"),
        "blank": (int(np.ptp(image)) <= BLANK_SPREAD, f"levels {image.min()} to {image.max()}"),
        "two-valued": (_two_valued(image), f"levels {image.min()} and {image.max()}"),
    }
    return [(kind, detail) for kind, (wrong, detail) in checks.items() if wrong]


def _named_so(path: Path, format_: str) -> bool:
    """Whether a file's suffix is one of its format's; DICOM often has none, or the end of a UID."""
    found = locate(path)
    suffix = found.file.suffix.lower()
    if found.key or suffix in SUFFIXES_OF.get(format_, ()):
        return True
    if format_ == "DICOM":
        return suffix.removeprefix(".").isdecimal() or not suffix
    return Image.registered_extensions().get(suffix) == format_


def _two_valued(image: np.ndarray) -> bool:
    """Whether an image has two colours only, or but for the traces of JPEG is black and white."""
    if int(np.ptp(image)) <= BLANK_SPREAD:
        return False
    first = image[0, 0]
    others = image[(image != first).any(axis=2)]
    if (others == others[0]).all():
        return True
    extreme = (image <= TWO_LEVELS).all(axis=2) | (image >= 255 - TWO_LEVELS).all(axis=2)
    return float(extreme.mean()) >= TWO_VALUED


def _mask_faults(path: Path, image: np.ndarray) -> list[Fault]:
    try:
        mask = read_mask(path)
    except DataError as error:
        return [("mask-unreadable", str(error))]
    size, own = image.shape[1::-1], mask.shape[::-1]
    sizes = f"mask {own[0]}x{own[1]}, image {size[0]}x{size[1]}"
    third = (mask.shape[0] // 3, mask.shape[1] // 3)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    middle = mask[third[0] : 2 * third[0], third[1] : 2 * third[1]]
    share = float(mask.mean())
    checks = {
        "mask-shape": (not same_aspect(own, size), sizes),
        "mask-scale": (same_aspect(own, size) and own != size, sizes),
        "mask-empty": (share == 0, ""),
        "mask-full": (share == 1, ""),
        "mask-inverted": (share < 1 and border >= BORDER_LESION and middle.mean() < border, f"{share:.0%} is lesion"),
    }
    return [(kind, detail) for kind, (wrong, detail) in checks.items() if wrong]
