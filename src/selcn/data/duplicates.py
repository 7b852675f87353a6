"""Near-duplicates: the same bytes, or scaled, recompressed, recoloured, turned or mirrored copies of an image.

Copies are found by a perceptual hash, the signs of the lowest frequencies of a small grey thumbnail's cosine transform
(after Zauner 2010). All eight turned and mirrored versions of an image follow from that one transform: mirroring
changes the sign of its odd columns, flipping that of its odd rows, and a quarter turn transposes it.

Dermoscopic images resemble one another (a dark blob on pale skin in a dark circle), so that the hash alone gives false
alarms. What it finds is verified by the correlation of fine detail inside the image's inscribed ellipse, where the
dermoscope's edge is not seen.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.fft import dctn

from selcn.data.hamming import find_near
from selcn.data.imaging.read import read_file
from selcn.errors import DataError, listed
from selcn.io.tables import lines
from selcn.io.threads import thread_count

SIDE = 32
FREQUENCIES = 8
MAX_BITS = 8
"""Bits of 63 by which hashes of copies may differ."""
MIN_SIMILARITY = 0.93
"""On 10,015 images of HAM10000 the likest pair that shows two lesions has 0.91, if the hash lets it pass."""
DETAIL = 1.5
"""Standard deviation, in pixels of the thumbnail, of the blur that fine detail stands out from."""
FLAT = 0.5
"""Grey levels of detail below which an image is blank, and like any other blank one."""
_BORDER = 8  # pixels, at least the reach of that blur, 4 standard deviations
CHUNK = 1024
"""Images, or pairs, whose details are in memory at a time."""
TURNS = (
    "as it is",
    "mirrored",
    "flipped",
    "turned by 180°",
    "transposed",
    "turned by 90°",
    "turned by 270°",
    "transposed about the other diagonal",
)


class Fingerprint(NamedTuple):
    """What of an image is kept to compare it by.

    Attributes:
        digest: of the file's bytes.
        thumbnail: uint8 grey (SIDE, SIDE), the image squeezed to a square.
    """

    digest: bytes
    thumbnail: np.ndarray


@dataclass(frozen=True)
class Duplicate:
    """Two images that are near-duplicates, or the same file.

    Attributes:
        first, second: their image_id, in the catalog's order.
        exact: whether their files are the same, byte for byte.
        similarity: correlation of their fine detail, 1 where exact.
        turn: what was done to the second.
    """

    first: str
    second: str
    exact: bool
    similarity: float
    turn: str


def fingerprint(data: bytes, image: np.ndarray) -> Fingerprint:
    """Fingerprint of a file's bytes and of the uint8 RGB image (H, W, 3) that they hold.

    Args:
        data: the file's content.
        image: uint8 RGB (H, W, 3), decoded from it.
    """
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(hashlib.sha256(data).digest(), cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def read_fingerprint(path: Path) -> Fingerprint:
    """Fingerprint of an image file; of one with several frames, of its bytes and its first frame.

    Args:
        path: the file.

    Raises:
        ImageFileError: missing, or no readable image.
    """
    read = read_file(path)
    return fingerprint(read.data, read.frames[0])


def find_duplicates(
    table: pd.DataFrame, *, jobs: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> list[Duplicate]:
    """Read every image of a catalog and find its near-duplicates.

    Args:
        table: a validated catalog.
        jobs: threads, all cores by default.
        on_progress: called with images read and images in all.

    Raises:
        DataError: images cannot be read; all are counted, the first are named.
    """

    def read(path: str) -> Fingerprint | str:
        try:
            return read_fingerprint(Path(path))
        except DataError as error:
            return str(error)

    found: list[Fingerprint] = []
    faults: list[str] = []
    with ThreadPoolExecutor(jobs or thread_count()) as pool:
        read_in_order = pool.map(read, table["image_path"])
        for done, (line, result) in enumerate(zip(lines(table), read_in_order, strict=True), start=1):
            if isinstance(result, Fingerprint):
                found.append(result)
            else:
                faults.append(f"line {line}: {result}")
            if on_progress:
                on_progress(done, len(table))
    if faults:
        raise DataError(f"{len(faults)} images cannot be read: {listed(faults)}; `selcn audit` lists and drops them")
    return match(list(table["image_id"]), found)


def match(image_ids: Sequence[str], fingerprints: Sequence[Fingerprint]) -> list[Duplicate]:
    """Pairs of near-duplicates; of several byte-identical ones, the first with each other.

    Args:
        image_ids: of N images.
        fingerprints: theirs, in the same order.
    """
    first_of: dict[bytes, int] = {}
    exact = []
    for row, one in enumerate(fingerprints):
        first = first_of.setdefault(one.digest, row)
        if first != row:
            exact.append(Duplicate(image_ids[first], image_ids[row], True, 1.0, TURNS[0]))
    rows = np.array(list(first_of.values()), dtype=int)
    near = _near(np.stack([fingerprints[row].thumbnail for row in rows])) if len(rows) > 1 else []
    return exact + [
        Duplicate(image_ids[rows[one]], image_ids[rows[other]], False, round(similarity, 4), TURNS[turn])
        for one, other, similarity, turn in near
    ]


def _near(thumbnails: np.ndarray) -> list[tuple[int, int, float, int]]:
    """Rows of each pair of near copies among (N, SIDE, SIDE), their similarity, and the turn of the second."""
    chunks = [thumbnails[start : start + CHUNK] for start in range(0, len(thumbnails), CHUNK)]
    rows = np.flatnonzero(np.concatenate([_detail(chunk)[1] for chunk in chunks]))
    hashes = np.concatenate([_hashes(thumbnails[part]) for part in _parts(rows)], axis=1) if len(rows) else _NO_HASHES
    best: dict[tuple[int, int], tuple[float, int]] = {}
    one, query = find_near(hashes[0], hashes.ravel(), MAX_BITS)
    turned, other = np.divmod(query, max(len(rows), 1))
    for turn in range(len(TURNS)):
        chosen = (turned == turn) & (other > one)
        for first, second in zip(_parts(rows[one[chosen]]), _parts(rows[other[chosen]]), strict=True):
            mine, theirs = _details_of_pairs(thumbnails, first, second)
            similarity = np.einsum("ij,ij->i", mine, theirs[:, _WINDOW_ORDER[turn]])
            for pair in np.flatnonzero(similarity >= MIN_SIMILARITY):
                key, value = (int(first[pair]), int(second[pair])), (float(similarity[pair]), turn)
                best[key] = max(best.get(key, value), value)
    return [(*pair, *best[pair]) for pair in sorted(best)]


def _details_of_pairs(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fine detail of both sides of pairs (N, P) each, found once of an image that is in several of them."""
    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    detail = _detail(thumbnails[rows])[0]
    return detail[place[: len(first)]], detail[place[len(first) :]]


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Perceptual hashes uint64 (8, N) of all turned and mirrored versions."""
    low = dctn(thumbnails.astype(np.float32), axes=(1, 2))[:, :FREQUENCIES, :FREQUENCIES]
    odd = np.where(np.arange(FREQUENCIES) % 2, -1, 1)
    versions = []
    for upright in (low, low.transpose(0, 2, 1)):
        versions += [upright, upright * odd, upright * odd[:, None], upright * odd * odd[:, None]]
    signs = np.stack(versions).reshape(len(versions), len(low), FREQUENCIES**2) > 0
    signs[..., 0] = False  # the mean, which is above 0 always
    return np.packbits(signs, axis=-1).view(np.uint64)[..., 0]


def _detail(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fine detail within the window as unit vectors float32 (N, P), and whether an image has any (N,)."""
    # One tall image of all, each with the border that the blur would continue it by, so that OpenCV is called once.
    padded = np.pad(thumbnails, ((0, 0), (_BORDER, _BORDER), (_BORDER, _BORDER)), mode="reflect").astype(np.float32)
    tall = padded.reshape(-1, SIDE + 2 * _BORDER)
    squares = (tall - cv2.GaussianBlur(tall, (0, 0), DETAIL)).reshape(padded.shape)
    fine = squares[:, _BORDER:-_BORDER, _BORDER:-_BORDER].reshape(len(thumbnails), -1)[:, _WINDOW]
    fine -= fine.mean(axis=1, keepdims=True)
    strength = np.sqrt((fine**2).mean(axis=1))
    norm = np.linalg.norm(fine, axis=1, keepdims=True)
    return fine / np.maximum(norm, 1e-12), strength > FLAT


def _turned(square: np.ndarray) -> list[np.ndarray]:
    """All eight versions of a square (S, S), in the order of `TURNS`."""
    return [
        version
        for upright in (square, square.T)
        for version in (upright, upright[:, ::-1], upright[::-1], upright[::-1, ::-1])
    ]


def _window() -> np.ndarray:
    offset = np.arange(SIDE) - (SIDE - 1) / 2
    return np.flatnonzero(offset[:, None] ** 2 + offset**2 < (0.375 * SIDE) ** 2)


_NO_HASHES = np.empty((len(TURNS), 0), np.uint64)
_WINDOW = _window()
# Where each pixel of the window comes from in a turned picture; the window itself is round.
_WINDOW_ORDER = [
    np.searchsorted(_WINDOW, version.ravel()[_WINDOW]) for version in _turned(np.arange(SIDE**2).reshape(SIDE, SIDE))
]
