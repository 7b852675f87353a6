"""Where an AVIF file holds its AV1 streams: in items and in tracks (ISO/IEC 14496-12 and 23008-12)."""

import io
from collections.abc import Iterator

from selcn.data.imaging.av1_size import coded_pixels

_TABLES = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_IN_FILE, _IN_META = 0, 1


def avif_pixels(data: bytes) -> int:
    """Pixels that all AV1 streams of a file code, whatever size the file claims.

    Args:
        data: the file's content.

    Raises:
        ValueError: the file is broken, or built in a way that AVIF does not use.
    """
    items, tracks, used = [], [], 0
    for kind, content in boxes(data):
        if kind == b"meta":
            items += _items(data, content[4:])
        elif kind == b"moov":
            tracks += [_samples(data, tables) for tables in _sample_tables(content)]
    pixels = 0
    for samples in [*([item] for item in items), *tracks]:
        used += sum(map(len, samples))
        if used > 2 * len(data):  # parts of the file that are read again and again
            raise ValueError("AVIF holds its streams more than twice")
        pixels += coded_pixels(iter(samples))
    return pixels


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box in AVIF, JPEG 2000 or another box.

    Args:
        data: the file's content, or that of a box.

    Raises:
        ValueError: a box is shorter than its own header.
    """
    place = 0
    while place + 8 <= len(data):
        size, head = int.from_bytes(data[place : place + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16]), 16
        end = place + size if size else len(data)
        if end < place + head:
            raise ValueError("a box is shorter than its header")
        yield data[place + 4 : place + 8], data[place + head : end]
        place = end


def _items(data: bytes, meta: bytes) -> list[bytes]:
    """The content of every item that is coded in AV1."""
    coded, places, within = set(), {}, b""
    for kind, content in boxes(meta):
        if kind == b"iinf":
            coded |= _coded_items(content)
        elif kind == b"iloc":
            places = _locations(content)
        elif kind == b"idat":
            within = content
    sources = {_IN_FILE: data, _IN_META: within}
    found = []
    for item in coded & places.keys():
        method, extents = places[item]
        if sum(length for _, length in extents) > len(data):
            raise ValueError("an item is larger than its file")
        whole = sources[method]
        found.append(b"".join(whole[start : start + length if length else None] for start, length in extents))
    return found


def _coded_items(iinf: bytes) -> set[int]:
    """Numbers of the items of type av01."""
    coded = set()
    for _, entry in boxes(iinf[8 if iinf[0] else 6 :]):
        width = 2 if entry[0] == 2 else 4
        if entry[6 + width : 10 + width] == b"av01":
            coded.add(int.from_bytes(entry[4 : 4 + width]))
    return coded


def _locations(iloc: bytes) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """By item: in which part of the file, and start and length of each extent (14496-12, 8.11.3)."""
    stream = io.BytesIO(iloc)

    def take(count: int) -> int:
        data = stream.read(count)
        if len(data) < count:
            raise ValueError("iloc is cut off")
        return int.from_bytes(data)

    version, _ = take(1), take(3)
    sizes = take(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    width, index = 4 if version == 2 else 2, index if version else 0
    places = {}
    for _ in range(take(width)):
        item = take(width)
        method = take(2) & 15 if version else _IN_FILE
        if method not in (_IN_FILE, _IN_META):
            raise ValueError("an item is made of other items' bytes")
        take(2)
        start = take(base)
        extents = []
        for _ in range(take(2)):
            take(index)
            extents.append((start + take(offset), take(length)))
        places[item] = method, extents
    return places


def _sample_tables(content: bytes) -> Iterator[dict[bytes, bytes]]:
    """The tables of the samples of every track."""
    for kind, inner in boxes(content):
        if kind == b"stbl":
            yield dict(boxes(inner))
        elif kind in _TABLES:
            yield from _sample_tables(inner)


def _samples(data: bytes, tables: dict[bytes, bytes]) -> list[bytes]:
    """The samples of a track in order (14496-12, 8.7)."""

    def numbers(table: bytes, width: int) -> list[int]:
        return [int.from_bytes(table[at : at + width]) for at in range(0, len(table) - width + 1, width)]

    alike, count, *sizes = numbers(tables.get(b"stsz", b"")[4:], 4)
    wide = b"co64" in tables
    offsets = numbers(tables[b"co64"][8:], 8) if wide else numbers(tables.get(b"stco", b"")[8:], 4)
    runs = numbers(tables.get(b"stsc", b"")[8:], 4)
    first, each = runs[::3], runs[1::3]
    lengths = iter(sizes[:count] if not alike else [alike] * min(count, len(data)))
    samples = []
    for chunk, place in enumerate(offsets, 1):
        run = max((number for number, start in enumerate(first) if start <= chunk), default=0)
        for length, _ in zip(lengths, range(each[run]) if each else (), strict=False):
            samples.append(data[place : place + length])
            place += length
    return samples
