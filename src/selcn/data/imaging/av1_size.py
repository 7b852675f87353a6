"""How many pixels AV1 streams code, told from their headers (AV1 Bitstream and Decoding Process, 5.3 to 5.9)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

MAX_UNITS = 100_000
"""Open bitstream units that are looked at; an image has about three."""
_SEQUENCE_HEADER, _FRAMES = 1, frozenset({3, 6, 7})  # types of units: those of frames begin with a frame header
_SWITCH_FRAME = 3
_CHOSEN_BY_FRAME = 2


class _Bits:
    """A reader of the first bits of a unit."""

    def __init__(self, data: bytes) -> None:
        head = data[:256]
        self.value, self.left = int.from_bytes(head), 8 * len(head)

    def take(self, count: int = 1) -> int:
        """The next bits as an unsigned integer."""
        self.left -= count
        if self.left < 0:
            raise ValueError("AV1 header is cut off")
        return self.value >> self.left & (1 << count) - 1


@dataclass(frozen=True)
class _Sequence:
    """What of a sequence header says how large its frames are."""

    reduced: bool
    frame_time: int  # bits
    size: tuple[int, int]
    largest: tuple[int, int]  # that a frame with a size of its own can have
    frame_id: int  # bits
    screen: int
    integer_motion: int


def coded_pixels(samples: Iterator[bytes]) -> int:
    """Pixels of all frames that streams of an image or a film code, shown or not.

    Args:
        samples: in the order of decoding.

    Raises:
        ValueError: a header is cut off, or there are more than `MAX_UNITS` units.
    """
    pixels, units, sequence = 0, 0, None
    for sample in samples:
        for kind, unit in _units(sample):
            units += 1
            if units > MAX_UNITS:
                raise ValueError("too many units of AV1")
            if kind == _SEQUENCE_HEADER:
                sequence = _sequence(_Bits(unit))
            elif kind in _FRAMES and sequence is not None:
                pixels += math.prod(_frame_size(_Bits(unit), sequence))
    return pixels


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each open bitstream unit (5.3)."""
    place = 0
    while place < len(data):
        head = data[place]
        place += 2 if head & 4 else 1
        size = len(data) - place
        if head & 2:
            size = 0
            for step in range(8):  # LEB128
                if place >= len(data):
                    raise ValueError("AV1 unit is cut off")
                size |= (data[place] & 127) << 7 * step
                place += 1
                if data[place - 1] < 128:
                    break
        yield head >> 3 & 15, data[place : place + size]
        place += size


def _sequence(bits: _Bits) -> _Sequence:
    """Sequence header (5.5), as far as the screen content tools."""
    bits.take(4)  # profile, still picture
    reduced, frame_time = bool(bits.take()), 0
    if reduced:
        bits.take(5)
    else:
        frame_time = _operating_points(bits)
    lengths = [bits.take(4) + 1, bits.take(4) + 1]
    width, height = (bits.take(length) + 1 for length in lengths)
    largest = (1 << lengths[0], 1 << lengths[1])
    if reduced:
        return _Sequence(reduced, 0, (width, height), largest, 0, 0, 0)
    frame_id = bits.take(4) + bits.take(3) + 3 if bits.take() else 0
    bits.take(7)  # superblocks, intra, inter
    if bits.take():  # order hints
        bits.take(2)
    screen = _CHOSEN_BY_FRAME if bits.take() else bits.take()
    motion = _CHOSEN_BY_FRAME if not screen or bits.take() else bits.take()
    return _Sequence(reduced, frame_time, (width, height), largest, frame_id, screen, motion)


def _operating_points(bits: _Bits) -> int:
    """Skip timing and operating points; the bits of a frame's presentation time."""
    delay = frame_time = 0
    if bits.take():  # timing
        bits.take(64)
        equal = bits.take()
        if equal:
            _variable_length(bits)
        if bits.take():  # decoder model
            delay = bits.take(5) + 1
            bits.take(37)
            frame_time = bits.take(5) + 1
            frame_time = 0 if equal else frame_time
    display = bits.take()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take()
        if delay and bits.take():
            bits.take(2 * delay + 1)
        if display and bits.take():
            bits.take(4)
    return frame_time


def _variable_length(bits: _Bits) -> None:
    zeros = 0
    while not bits.take():
        zeros += 1
    bits.take(zeros)


def _frame_size(bits: _Bits, sequence: _Sequence) -> tuple[int, int]:
    """Size of a frame by the start of its header (5.9.2); the largest possible one where it states its own."""
    if sequence.reduced:
        return sequence.size
    if bits.take():  # an earlier frame is shown again
        return 0, 0
    kind, shown = bits.take(2), bits.take()
    bits.take(sequence.frame_time if shown else 1)
    if kind != _SWITCH_FRAME and not (kind == 0 and shown):
        bits.take()
    bits.take()
    if bits.take() if sequence.screen == _CHOSEN_BY_FRAME else sequence.screen:
        bits.take(sequence.integer_motion == _CHOSEN_BY_FRAME)
    bits.take(sequence.frame_id)
    return sequence.largest if kind == _SWITCH_FRAME or bits.take() else sequence.size
