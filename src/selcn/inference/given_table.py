"""The table of `selcn predict --given`: what is given of which image."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selcn.data.imaging.address import is_file, locate
from selcn.data.imaging.decode import decode_pages, peek_size
from selcn.data.imaging.read import read_bytes, read_mask
from selcn.errors import DataError, listed
from selcn.inference.given import MASK, Given, saliency_name
from selcn.inference.image_table import Finder, read_image_table
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.io.storage import joined
from selcn.io.threads import thread_count

_ARRAY = ".npy"


@dataclass(frozen=True)
class GivenRow:
    """What one row gives of an image.

    Attributes:
        mask: its file; None for no mask.
        classes: by the network's name.
        saliency: its file by the network's name, an image in grey or an array `.npy`.
        metadata: by field.
    """

    mask: Path | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    saliency: Mapping[str, Path] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All its files."""
        return (*(() if self.mask is None else (self.mask,)), *self.saliency.values())

    def read(self) -> Given:
        """Read its files.

        Raises:
            DataError: one is missing, or is no mask or map.
        """
        mask = None if self.mask is None else read_mask(self.mask)
        maps = {name: decode_saliency(read_bytes(path), path) for name, path in self.saliency.items()}
        return Given(mask, self.classes, maps, self.metadata)


@dataclass(frozen=True)
class GivenTable:
    """What is given of some files.

    Attributes:
        rows: by the number of the file.
        digest: SHA-256 of everything that is given, in hexadecimal.
    """

    rows: Mapping[int, GivenRow]
    digest: str


def read_given(table: Path, items: Sequence[Item], predictor: Predictor) -> GivenTable:
    """Read and check a table of given results, with all its files.

    Args:
        table: CSV with a column `image` (name, path, stem or image_id of an input), and any of `mask` (a path, relative
            to the table), the names of classification networks (a class) and these with `_saliency` (a path). An empty
            cell gives nothing.
        items: the files that are predicted.
        predictor: of the bundle.

    Raises:
        DataError: a column, network or class is unknown, a file is missing or does not fit, a row matches no input or
            several, or two rows match one.
        ConfigError: the engine cannot be given such results.
    """
    networks = list(predictor.config.classifiers)
    known = [MASK, *networks, *map(saliency_name, networks)]
    key, lines = read_image_table(table, known)
    unknown = [name for name in lines[0][1] if name and name not in (key, *known)]
    if unknown:
        raise DataError(f"{table}: column {unknown[0]} is unknown; write {', '.join(known)}")
    rows, faults = dict[int, GivenRow](), list[str]()
    find = Finder(items, table.parent)
    for line, row in lines:
        name = row[key]
        try:
            given, numbers = _row(row, table.parent, predictor), find(name)
            if not numbers:
                raise DataError(f"{name or 'the empty cell'} is no input; name one, or leave the row out")
            if rows.keys() & set(numbers):
                raise DataError(f"{name} stands twice; write one row an image")
            rows |= dict.fromkeys(numbers, given)
        except DataError as error:
            faults.append(f"line {line}: {error}")
    if not faults:
        faults = list(_check_files(rows, items, predictor))
    if faults:
        raise DataError(f"{table}: {listed(faults)}")
    contents = (read_bytes(file) for row in rows.values() for file in row.files)
    digest = hashlib.sha256(read_bytes(table))
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return GivenTable(rows, digest.hexdigest())


def decode_saliency(data: bytes, path: Path) -> np.ndarray:
    """Decode a saliency map, float (h, w) in [0, 1] unless an array holds other values.

    Args:
        data: content of an image in grey, whose white is 1, or of an array `.npy`.
        path: what an error calls it, and how it is told which of the two it is.

    Raises:
        DataError: neither.
    """
    if path.suffix.lower() == _ARRAY:
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
            return np.asarray(array, dtype=np.float32)
        except (ValueError, EOFError, TypeError):
            raise DataError(f"{path}: no array of numbers; write it with numpy.save") from None
    return decode_map(data, path, frame=locate(path).frame or 0)


def decode_map(data: bytes, path: Path, max_pixels: int | None = None, frame: int = 0) -> np.ndarray:
    """Decode an image in grey as a map, float (h, w) in [0, 1].

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: more are refused; None for the decoder's own limit.
        frame: number of the page, from 0.

    Raises:
        DataError: no image, or one in colours.
    """
    (image,) = decode_pages(data, path, max_pixels, frame)[1]
    if (image != image[..., :1]).any():
        raise DataError(f"{path}: saliency in colours; write it in grey, or as an array {_ARRAY}")
    return image[..., 0].astype(np.float32) / 255


def _row(row: Mapping[str, str], folder: Path, predictor: Predictor) -> GivenRow:
    cells = {name: value for name, value in row.items() if value}
    networks = list(predictor.config.classifiers)
    files = {name: Path(joined(folder, cells[name])) for name in (MASK, *map(saliency_name, networks)) if name in cells}
    for path in files.values():
        if not is_file(path):
            raise DataError(f"{path}: no such file; correct the path")
    maps = {name: files[saliency_name(name)] for name in networks if saliency_name(name) in files}
    given = GivenRow(files.get(MASK), {name: cells[name] for name in networks if name in cells}, maps)
    predictor.check(Given(classes=given.classes))
    return given


def _check_files(rows: Mapping[int, GivenRow], items: Sequence[Item], predictor: Predictor) -> Iterator[str]:
    """The faults of files, told before anything is predicted; files of images that cannot be read have none."""

    def check(number: int) -> str | None:
        try:
            given = rows[number].read()
        except DataError as error:
            return str(error)
        item = items[number]
        try:
            predictor.check(given, peek_size(item.read(), item.frame or 0) if given.mask is not None else None)
        except DataError as error:
            # A missing image becomes a row with its error, as without given results.
            return f"{item.name}: {error}" if is_file(item.name) else None
        return None

    with ThreadPoolExecutor(thread_count()) as pool:
        yield from filter(None, pool.map(check, rows))
