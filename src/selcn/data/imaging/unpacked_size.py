"""What GIF, AVIF and JPEG 2000 unpack to, compared with what they claim before any of it is unpacked.

Every other format that is read here holds its size once, or Pillow's decoders stop at the size that it claims.
"""

from selcn.data.imaging.avif_size import avif_pixels
from selcn.data.imaging.jpeg2000_size import jpeg2000_pixels

MAX_EXCESS = 4
"""Pixels that are unpacked as a multiple of those claimed: transparency, hidden frames, edges of tiles."""
MIN_PIXELS = 2**18
"""Claims below this are taken for this much: blocks of small images are larger than they."""
_MEASURED = {"AVIF": avif_pixels, "JPEG2000": jpeg2000_pixels}


def is_bomb(data: bytes, form: str, claimed: int) -> bool:
    """Whether a file unpacks to far more pixels than it claims.

    Args:
        data: the file's content.
        form: Pillow's name of its format.
        claimed: pixels of all its frames together.

    Raises:
        ValueError: it is broken.
    """
    return form in _MEASURED and _MEASURED[form](data) > MAX_EXCESS * max(claimed, MIN_PIXELS)


def is_gif(data: bytes) -> bool:
    """Whether a file begins as GIF does.

    Args:
        data: the file's content.
    """
    return data.startswith((b"GIF87a", b"GIF89a"))


def gif_canvas(data: bytes) -> tuple[int, int, int]:
    """Width and height of the canvas that holds every frame of a GIF, and how many frames there are.

    Frames may reach beyond the screen that the header claims; decoders then extend it.

    Args:
        data: the file's content.
    """
    width, height, frames = *_sides(data, 6), 0
    place = 13 + _palette(data[10:11])
    while place < len(data) and data[place : place + 1] != b";":
        kind, place = data[place], place + 1
        if kind == 0x2C:
            (left, top), (wide, high) = _sides(data, place), _sides(data, place + 4)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
            place += 10 + _palette(data[place + 8 : place + 9])
        elif kind == 0x21:  # as Pillow reads it: the first block of all but comments may be empty
            comment = data[place : place + 1] == b"\xfe"
            place += 1 if comment or place + 1 >= len(data) else 2 + data[place + 1]
        else:
            continue
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return width, height, frames


def _sides(data: bytes, place: int) -> tuple[int, int]:
    return int.from_bytes(data[place : place + 2], "little"), int.from_bytes(data[place + 2 : place + 4], "little")


def _palette(flags: bytes) -> int:
    """Bytes of the palette behind a GIF's flags."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 128 else 0
