"""Masks as run lengths and polygons of COCO and as brush strokes of Label Studio, and back.

Run lengths of COCO are those of pycocotools, whose rasterisation of polygons is COCO's own. Run lengths and brush
strokes hold every pixel. A polygon follows the edges of pixels and so holds every pixel too, but no hole: holes are
filled.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from selcn.errors import DataError, require_extra

Bools = npt.NDArray[np.bool_]
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Right, down, left, up: each turns right into the next."""
_HEADER_BITS, _WORD_BITS, _RUN_BITS = 32, 8, (3, 4, 8, 16)
"""Of Label Studio's brush strokes: of the number of values, of a value, and of the four kinds of run lengths."""
_CHANNELS = 4


def encode_mask(mask: Bools) -> str:
    """COCO's compressed run lengths of a mask.

    Args:
        mask: bool (H, W).

    Raises:
        ConfigError: the extra `annotations` is not installed.
    """
    counts: bytes = _coco().encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts.decode()


def decode_mask(counts: str | Sequence[int], size: tuple[int, int]) -> Bools:
    """The mask of COCO's run lengths, bool (H, W).

    Args:
        counts: compressed, or a list of numbers.
        size: width and height in pixels.

    Raises:
        ConfigError: the extra `annotations` is not installed.
        DataError: the run lengths are not of that size.
    """
    width, height = size
    coco = _coco()
    plain = not isinstance(counts, str)
    if plain and sum(counts) != width * height:  # type: ignore[arg-type]
        raise DataError(f"run lengths are of {sum(counts)} pixels, not of {width}x{height}")  # type: ignore[arg-type]
    shape: dict[str, Any] = {"size": [height, width], "counts": list(counts) if plain else counts}
    try:
        run_lengths = coco.frPyObjects(shape, height, width) if plain else shape
        return np.asarray(coco.decode(run_lengths), dtype=bool)
    except (ValueError, TypeError) as error:
        raise DataError(f"run lengths cannot be read ({error})") from None


def fill_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> Bools:
    """The union of polygons as COCO rasterises them, bool (H, W).

    Args:
        polygons: x, y, x, y ... in pixels, three points or more each.
        size: width and height in pixels.

    Raises:
        ConfigError: the extra `annotations` is not installed.
        DataError: a polygon has fewer than three points.
    """
    width, height = size
    if not polygons:
        return np.zeros((height, width), dtype=bool)
    if any(len(one) < 6 or len(one) % 2 for one in polygons):
        raise DataError("a polygon has fewer than three points")
    coco = _coco()
    whole = coco.merge(coco.frPyObjects([list(map(float, one)) for one in polygons], height, width))
    return np.asarray(coco.decode(whole), dtype=bool)


def outline_polygons(mask: Bools) -> list[list[int]]:
    """Polygons along the edges of a mask's pixels, x, y, x, y ..., one a region of pixels that share edges; no holes.

    Args:
        mask: bool (H, W).
    """
    filled = ndimage.binary_fill_holes(mask, structure=np.ones((3, 3), dtype=bool))
    inside = np.pad(np.asarray(filled, dtype=bool), 1)
    core = inside[1:-1, 1:-1]
    # The four edges of a pixel with their beginnings, walked with the region on the right.
    sides = (
        (core & ~inside[:-2, 1:-1], (0, 0)),
        (core & ~inside[1:-1, 2:], (1, 0)),
        (core & ~inside[2:, 1:-1], (1, 1)),
        (core & ~inside[1:-1, :-2], (0, 1)),
    )
    begins: dict[tuple[int, int], list[int]] = {}
    for direction, (edges, (right, down)) in enumerate(sides):
        for y, x in np.argwhere(edges).tolist():
            begins.setdefault((x + right, y + down), []).append(direction)
    found = []
    while begins:
        start = next(iter(begins))  # the left end of the topmost edge, which is a corner
        found.append([number for point in _loop(begins, start) for number in point])
    return found


def _loop(begins: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Corners of one loop, whose edges are taken out; where two meet, it turns right and stays with its own pixel."""
    point, direction = start, begins[start][0]
    yield point
    while True:
        _take(begins, point, direction)
        point = (point[0] + _STEPS[direction][0], point[1] + _STEPS[direction][1])
        if point == start:
            return
        turn = next(turned % 4 for turned in (direction + 1, direction, direction + 3) if turned % 4 in begins[point])
        if turn != direction:
            yield point
        direction = turn


def _take(begins: dict[tuple[int, int], list[int]], point: tuple[int, int], direction: int) -> None:
    begins[point].remove(direction)
    if not begins[point]:
        del begins[point]


def pack_brush(mask: Bools) -> list[int]:
    """A mask as bytes of a brush stroke of Label Studio: runs of an RGBA image, packed in bits (thi.ng/rle-pack).

    Args:
        mask: bool (H, W).
    """
    flat = mask.ravel()
    bits = [_bits(_CHANNELS * flat.size, _HEADER_BITS), _bits(_WORD_BITS - 1, 5), *(_bits(n - 1, 4) for n in _RUN_BITS)]
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])) * _CHANNELS
    for number, length in enumerate(lengths.tolist()):
        value = _bits(255 if flat[0] ^ bool(number % 2) else 0, _WORD_BITS)
        while length:
            kind = next((kind for kind, width in enumerate(_RUN_BITS) if length <= 1 << width), len(_RUN_BITS) - 1)
            part = min(length, 1 << _RUN_BITS[kind])
            bits.append(f"1{_bits(kind, 2)}{_bits(part - 1, _RUN_BITS[kind])}{value}")
            length -= part
    text = "".join(bits)
    packed = np.packbits(np.frombuffer(text.encode(), dtype=np.uint8) - ord("0"))
    return [int(byte) for byte in packed]


def unpack_brush(packed: Sequence[int], size: tuple[int, int]) -> Bools:
    """The mask of a brush stroke of Label Studio, bool (H, W): where it is not transparent.

    Args:
        packed: its bytes.
        size: width and height of the image in pixels.

    Raises:
        DataError: the bytes are not those of an image of this size.
    """
    width, height = size
    try:
        values = _unpacked(np.unpackbits(np.array(packed, dtype=np.uint8)))
    except (ValueError, IndexError, OverflowError, TypeError):
        raise DataError("a brush stroke cannot be read") from None
    if values.size != width * height * _CHANNELS:
        raise DataError(f"a brush stroke is of {values.size // _CHANNELS} pixels, not of {width}x{height}")
    return np.asarray(values.reshape(height, width, _CHANNELS)[..., -1] > 0)


def _unpacked(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    place = 0

    def read(count: int) -> int:
        nonlocal place
        if place + count > bits.size:
            raise ValueError("ends early")
        value = int("".join(map(str, bits[place : place + count])), 2)
        place += count
        return value

    total, word = read(_HEADER_BITS), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    if total > bits.size * (1 << max(widths)):
        raise ValueError("claims more than it can hold")
    values = np.zeros(total, dtype=np.uint8)
    done = 0
    while done < total:
        run = read(1)
        end = done + 1 + read(widths[read(2)])
        values[done:end] = read(word) if run else [read(word) for _ in range(end - done)]
        done = end
    return values


def _bits(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def _coco() -> Any:  # noqa: ANN401 - pycocotools has no types
    return require_extra("pycocotools.mask", "annotations", "reading and writing annotations")
