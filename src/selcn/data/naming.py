"""Names of image files: what an image is called, and which files only belong to an image by their names or folders."""

import re
from collections.abc import Collection
from enum import Enum
from pathlib import Path, PurePath

from selcn.data.imaging.address import HDF5_SUFFIXES, printable

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif"),
        *(".jp2", ".j2k", ".heic", ".heif", ".dcm", ".dicom"),
    }
)
MASK_FOLDERS = frozenset({"mask", "masks", "segmentation", "segmentations", "groundtruth", "ground_truth"})
_REGIONS = "_roi"
"""Ends the name of a folder of PH2 with regions of one colour."""
_MASK = re.compile(r"(.+)[-_ ](segmentation|mask|lesion|seg|gt)", re.IGNORECASE)
_MASK_PREFIX = re.compile(r"(?:mask|seg|gt)[-_ ](.+)", re.IGNORECASE)
_BY_PRODUCT = re.compile(r"(.+)[-_ ](superpixels|attribute_[a-z_]+|overlay)", re.IGNORECASE)
_NEVER_IMAGES = re.compile(r".+[-_ ](segmentation|mask|superpixels|attribute_[a-z_]+)", re.IGNORECASE)
"""Names that are never those of images; others count where the image that they belong to is there."""


class Role(Enum):
    """What an image file is."""

    IMAGE = "image"
    MASK = "mask"
    BY_PRODUCT = "by-product"


def image_name(path: str | PurePath) -> str:
    """Name of an image without folders and suffix; of an image of an HDF5 file its id, of a frame with its number.

    Args:
        path: of a file, or an address; a suffix that images do not have is part of the name.
    """
    name = printable(PurePath(path).name)
    file, _, part = name.rpartition("#")
    suffix = PurePath(file).suffix.lower()
    if suffix in HDF5_SUFFIXES:
        return part
    if file and part.isdecimal() and (suffix in IMAGE_SUFFIXES or not suffix or suffix[1:].isdecimal()):
        return f"{image_name(file)}-frame-{part}"
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else name


def is_mask(path: Path) -> bool:
    """Whether a file's name ends as those of lesion masks do, in any case.

    Args:
        path: the file; only its name counts.
    """
    return _MASK.fullmatch(image_name(path)) is not None


def mask_owner(name: str) -> str:
    """Name of the image that a mask of this name belongs to; the name itself where it has no ending of masks.

    Args:
        name: as `image_name` gives it.
    """
    match = _MASK.fullmatch(name)
    return match[1] if match else name


def owners(name: str) -> list[str]:
    """Names of the images that a mask or by-product of this name may belong to, the longest first; none of others.

    Args:
        name: as `image_name` gives it.
    """
    found = []
    for pattern in (_MASK, _BY_PRODUCT, _MASK_PREFIX):
        match = pattern.fullmatch(name)
        if match:
            found += [match[1], *owners(match[1])]
    return sorted(dict.fromkeys(found), key=len, reverse=True)


def role_of(path: Path, names: Collection[str]) -> Role:
    """What an image file is, by its name and folders.

    `X_segmentation`, `X_mask` and `X_superpixels` are never images, nor is what lies in a folder `masks`; `X_lesion`,
    `X_seg`, `X_gt`, `mask_X` and `X_overlay` are none where there is an image X.

    Args:
        path: of the file below the folder that was searched.
        names: of all images there, as `image_name` gives them, in casefolded letters.
    """
    folders = [part.lower() for part in path.parts[:-1]]
    if any(folder.endswith(_REGIONS) for folder in folders):
        return Role.BY_PRODUCT
    if MASK_FOLDERS.intersection(folders):
        return Role.MASK
    name = image_name(path)
    if not _NEVER_IMAGES.fullmatch(name) and not any(owner.casefold() in names for owner in owners(name)):
        return Role.IMAGE
    return Role.BY_PRODUCT if _BY_PRODUCT.fullmatch(name) else Role.MASK
