"""HDF5 files of encoded images by id, as ISIC 2024 publishes its crops (Kurtansky et al. 2024)."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.imaging.decode import ImageFileError
from selcn.errors import require_extra


def keys(file: Path) -> list[str]:
    """The ids of the images that a file holds, in its order; none of a file of other arrays.

    Args:
        file: HDF5.

    Raises:
        ImageFileError: not readable as HDF5.
        ConfigError: the extra that reads it is not installed.
    """
    held = _opened(file)
    first = next(iter(held), None)
    return list(held) if first is not None and _is_encoded(held[first]) else []


def read_key(file: Path, key: str) -> bytes:
    """The encoded image of an id.

    Args:
        file: HDF5.
        key: of the image.

    Raises:
        ImageFileError: not readable as HDF5, or it holds no such image.
        ConfigError: the extra that reads it is not installed.
    """
    held = _opened(file)
    if key not in held or not _is_encoded(held[key]):
        raise ImageFileError("missing", f"{file}: holds no image {key!r}; correct the path or remove the row")
    return np.asarray(held[key][()]).tobytes()


def _is_encoded(dataset: Any) -> bool:  # noqa: ANN401 - h5py has no types
    kind = getattr(dataset, "dtype", None)
    return kind is not None and (
        (dataset.shape == () and kind.kind in "SV") or (len(dataset.shape) == 1 and kind == np.uint8)
    )


def _opened(file: Path) -> Any:  # noqa: ANN401
    return _open(str(file), file.stat().st_mtime_ns)


@lru_cache(maxsize=4)  # a file has hundreds of thousands of images, which threads read in turn
def _open(file: str, _changed: int) -> Any:  # noqa: ANN401
    h5py = require_extra("h5py", "hdf5", f"{file}: HDF5")
    try:
        return h5py.File(file, "r")
    except OSError:
        raise ImageFileError("unreadable", f"{file}: not readable as HDF5; replace the file") from None
