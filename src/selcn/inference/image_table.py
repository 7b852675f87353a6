"""Tables about inputs: the column that names images, and which inputs a cell of it means."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from selcn.data.imaging.address import locate
from selcn.data.naming import image_name
from selcn.errors import DataError
from selcn.inference.inputs import PATH_COLUMNS, Item
from selcn.io.cells import read_cells

IMAGE_COLUMNS = ("image", "image_id", "isic_id", *PATH_COLUMNS)
Rows = list[tuple[int, dict[str, str]]]


def read_image_table(table: Path, wanted: Iterable[str]) -> tuple[str, Rows]:
    """The column of a table that names images, and each row's line with its stripped cells by column.

    Args:
        table: as `selcn.io.cells.read_cells` takes it.
        wanted: further columns that are used; they and that of images are found in any case.

    Raises:
        DataError: it cannot be read, has no rows or no column of images, or a column that is used is there twice.
    """
    header, rows = read_cells(table)
    used = (*IMAGE_COLUMNS, *wanted)
    spelt = {name.casefold(): name for name in used} | {name: name for name in used}
    header = [spelt.get(name, spelt.get(name.casefold(), name)) for name in header]
    key = next((name for name in IMAGE_COLUMNS if name in header), None)
    if key is None or not rows:
        raise DataError(f"{table}: has no rows, or no column {IMAGE_COLUMNS[0]}; name the column of images so")
    twice = next((name for name in header if name in used and header.count(name) > 1), None)
    if twice:
        raise DataError(f"{table}: has {header.count(twice)} columns {twice}; keep one of them")
    return key, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


class Finder:
    """Finds the input that a cell names: by path, or else by name, stem or image_id.

    Args:
        items: the inputs.
        folder: of the table, to which its paths are relative.
        whole: whether a cell may also name a file whose frames are inputs, and so means all of these.
    """

    def __init__(self, items: Sequence[Item], folder: Path, *, whole: bool = False) -> None:
        self.folder, self.paths = folder, defaultdict[Path, list[int]](list)
        self.names = defaultdict[str, set[Path]](set)
        for number, item in enumerate(items):
            self._add(number, Path(item.name), item.name, item.image_id)
            if whole and item.frame is not None:
                self._add(number, locate(Path(item.name)).file)

    def _add(self, number: int, place: Path, *names: str) -> None:
        path = place.resolve()
        self.paths[path].append(number)
        for name in (*names, place.name, image_name(place)):
            self.names[name].add(path)

    def __call__(self, cell: str) -> list[int]:
        """Numbers of the input that a cell names, more than one where it is listed more than once; empty for no input.

        Args:
            cell: of the column of images.

        Raises:
            DataError: it names several inputs.
        """
        here = {Path(cell).resolve(), (self.folder / cell).resolve()} & self.paths.keys()
        found = sorted(here or self.names.get(cell, set())) if cell else []
        if len(found) > 1:
            raise DataError(f"{cell} is {len(found)} inputs, such as {found[0]} and {found[1]}; write the path")
        return self.paths[found[0]] if found else []
