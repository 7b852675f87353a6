"""What decoding a JPEG 2000 codestream takes, told from its headers (ITU-T T.800, Annex A).

A decoder makes structures for every tile, precinct and code-block before it reads any of them, so that a file of a few
hundred bytes with tiny ones can take gigabytes, however small its image is.
"""

import math
from collections.abc import Iterator

from selcn.data.imaging.avif_size import boxes

MAX_COMPONENTS = 4
MAX_SEGMENTS = 300_000
"""Marker segments that are looked at: a few for each of at most 65,535 tiles."""
# In pixels whose decoding takes as much, measured with OpenJPEG 2.5: about 18 bytes a pixel of three components.
_TILE, _PRECINCT, _BLOCK = 1024, 64, 32
_START = b"\xff\x4f"
_SIZ, _COD, _COC, _SOT, _SOD, _END = 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9
_KNOWN = frozenset({0x50, _SIZ, _COD, _COC, *range(0x55, 0x65), 0x74, 0x75, 0x77, 0x78, _SOT})
_WHOLE = 15  # the exponent of a precinct that is as large as can be


def jpeg2000_pixels(data: bytes) -> int:
    """How many pixels a decoder's memory would be enough for, of a codestream or a JP2 file with one.

    Args:
        data: the file's content.

    Raises:
        ValueError: broken, of more than four components, or with markers that are not of T.800.
    """
    if not data.startswith(_START):
        data = next((content for kind, content in boxes(data) if kind == b"jp2c"), b"")
    segments = _segments(data)
    kind, siz = next(segments, (0, b""))
    right, bottom, left, top, width, height, at_x, at_y = (int.from_bytes(siz[at : at + 4]) for at in range(2, 34, 4))
    components = int.from_bytes(siz[34:36])
    if kind != _SIZ or not (width and height) or not 0 < components <= MAX_COMPONENTS:
        raise ValueError("JPEG 2000 without a usable size")
    tiles = math.ceil((right - at_x) / width) * math.ceil((bottom - at_y) / height)
    tile = min(width, right - left), min(height, bottom - top)
    structures = max((_structures(tile, kind, content) for kind, content in segments), default=0)
    return (right - left) * (bottom - top) + tiles * (_TILE + components * structures)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of the size first, and of each coding style, also those of single tiles."""
    place, next_part = len(_START), len(data)
    for _ in range(MAX_SEGMENTS):
        if place + 4 > len(data) or data[place : place + 2] == bytes([0xFF, _END]):
            return
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if data[place] == 0xFF and kind == _SOD:  # the packets of a tile
            place = next_part
            continue
        if data[place] != 0xFF or kind not in _KNOWN or length < 2:
            raise ValueError("JPEG 2000 with an unknown marker")
        content = data[place + 4 : place + 2 + length]
        if kind in (_SIZ, _COD, _COC):
            yield kind, content
        elif kind == _SOT:
            part = int.from_bytes(content[2:6])
            next_part = place + part if part else len(data)
            if next_part < place + 2 + length:
                raise ValueError("a tile of JPEG 2000 is shorter than its header")
        place += 2 + length
    raise ValueError("too many markers of JPEG 2000")


def _structures(tile: tuple[int, int], kind: int, content: bytes) -> int:
    """Precincts and code-blocks of one component of a tile by its coding style (A.6.1, A.6.2), as pixels."""
    if kind == _SIZ:
        raise ValueError("JPEG 2000 with two sizes")
    style, (levels, *block) = content[0 if kind == _COD else 1], content[5 if kind == _COD else 2 :][:3]
    precincts = content[10 if kind == _COD else 7 :] if style & 1 else b""
    total = 0
    for level in range(levels + 1):
        size = [math.ceil(side / 2 ** (levels - level)) for side in tile]
        precinct = [precincts[level] & 15, precincts[level] >> 4] if precincts else [_WHOLE, _WHOLE]
        # Of all but the lowest level three bands of half the size are coded.
        cells = [min(exponent + 2, most - (level > 0)) for exponent, most in zip(block, precinct, strict=True)]
        total += _PRECINCT * _count(size, precinct) + _BLOCK * _count(size, cells)
    return total


def _count(size: list[int], exponents: list[int]) -> int:
    """How many cells of a power of two cover a size."""
    return math.prod(math.ceil(side / 2 ** max(0, exponent)) for side, exponent in zip(size, exponents, strict=True))
