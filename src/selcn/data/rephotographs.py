"""Crops and re-photographs: images whose features are neighbours, verified by matching key points.

`selcn.data.duplicates` finds copies of whole images. Of a crop the hash is another, but the features of a network are
near those of the original or of its middle. Neighbours by cosine are verified: SIFT key points (Lowe 2004) are matched,
a similarity transform is fitted by RANSAC, and fine detail must correlate where the two images then overlap.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from selcn.data.imaging.prepare import resize

NEIGHBOURS = 3
"""Images with the nearest features to those of an image, and to those of its middle, which it is compared with."""
MIDDLE = 0.1
"""Share of width and height that is cut off each side to have an image's middle."""
WIDTH = 320
"""Pixels that an image is scaled to before key points are sought."""
MAX_POINTS = 400
RATIO = 0.8
"""Largest ratio of the distances of the best and the second best match (Lowe 2004)."""
REACH = 3.0
"""Pixels by which a matched point may miss its place."""
MIN_INLIERS = 8
MIN_OVERLAP = 0.2
"""Share of the smaller image that lies on the other."""
MIN_SIMILARITY = 0.25
"""Of 2,000 images and crops of HAM10000 no pair of two lesions reaches half of it; two photographs of one lesion do."""
MIN_SCALE = 0.3
"""By which the second image may be shrunk, and the inverse by which it may be enlarged, to lie on the first."""
DETAIL = 2.0
"""Standard deviation, in pixels, of the blur that fine detail stands out from."""
RIM = 0.95
"""Share of the inscribed ellipse's axes within which images are compared; a dermoscope's edge lies outside."""
CHUNK = 1024
Floats = npt.NDArray[np.float32]


class KeyPoints(NamedTuple):
    """Key points of an image, scaled to a width of `WIDTH`.

    Attributes:
        points: x and y in pixels, float32 (n, 2).
        descriptors: of SIFT, uint8 (n, 128).
    """

    points: Floats
    descriptors: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """Two images of one lesion, taken from one photograph or from two.

    Attributes:
        first, second: numbers of the images.
        cosine: of their features.
        inliers: matched key points that one similarity transform explains.
        scale: by which the second is enlarged to lie on the first.
        overlap: share of the smaller image that lies on the other, 0 to 1.
        similarity: correlation of fine detail where they overlap; near 1 for one photograph.
    """

    first: int
    second: int
    cosine: float
    inliers: int
    scale: float
    overlap: float
    similarity: float


def neighbours(features: Floats, count: int = NEIGHBOURS) -> list[tuple[int, int, float]]:
    """Pairs of images one of which is among the nearest of the other by cosine, with their cosine.

    The whole of an image and its middle are both compared with the wholes of all others: of a crop, the middle of the
    original is nearer than its whole. Features are centred first: those of a network with ReLU all point into one
    corner.

    Args:
        features: float (N, 2, C), of the whole of each image and of its `middle`.
        count: neighbours of each whole and of each middle, at least 1.
    """
    centred = features - features[:, 0].mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=2, keepdims=True), 1e-12)
    count = min(count, len(units) - 1)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(units) if count > 0 else 0, CHUNK):
        for view in (0, 1):
            cosines = units[start : start + CHUNK, view] @ units[:, 0].T
            rows = np.arange(len(cosines))
            cosines[rows, rows + start] = -np.inf
            nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
            for row, others in zip(rows.tolist(), nearest.tolist(), strict=True):
                for other in others:
                    pair = (min(start + row, other), max(start + row, other))
                    found[pair] = max(found.get(pair, -1.0), float(cosines[row, other]))
    return [(*pair, cosine) for pair, cosine in sorted(found.items())]


def middle(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The middle of an image, scaled to its size.

    Args:
        image: uint8 RGB (H, W, 3).
    """
    height, width = image.shape[:2]
    top, left = round(height * MIDDLE), round(width * MIDDLE)
    return resize(image[top : height - top, left : width - left], (width, height))


def find_pairs(
    image: Callable[[int], npt.NDArray[np.uint8]],
    candidates: Sequence[tuple[int, int, float]],
    *,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """The candidates that are verified, the most similar first.

    Args:
        image: from an image's number to uint8 RGB (H, W, 3).
        candidates: pairs of numbers with their cosine, see `neighbours`.
        jobs: threads, all cores by default.
        on_progress: called with candidates done and candidates in all.
    """
    wanted = sorted({number for one, other, _ in candidates for number in (one, other)})

    def verified(candidate: tuple[int, int, float]) -> Pair | None:
        one, other, cosine = candidate
        transform, inliers = fit_transform(known[one], known[other])
        if transform is None or inliers < MIN_INLIERS:
            return None
        scale = float(np.hypot(transform[0, 0], transform[1, 0]))
        if not MIN_SCALE <= scale <= 1 / MIN_SCALE:
            return None  # key points of all places on one
        overlap, similarity = compare_detail(image(one), image(other), transform)
        alike = overlap >= MIN_OVERLAP and similarity >= MIN_SIMILARITY
        return Pair(one, other, cosine, inliers, scale, overlap, similarity) if alike else None

    with ThreadPoolExecutor(jobs) as pool:
        known = dict(zip(wanted, pool.map(lambda number: key_points(image(number)), wanted), strict=True))
        found = []
        for done, pair in enumerate(pool.map(verified, candidates), start=1):
            found += [] if pair is None else [pair]
            if on_progress:
                on_progress(done, len(candidates))
    return sorted(found, key=lambda pair: -pair.similarity)


def key_points(image: npt.NDArray[np.uint8]) -> KeyPoints:
    """Key points of an image inside its inscribed ellipse.

    Args:
        image: uint8 RGB (H, W, 3).
    """
    grey = _scaled(image)
    sift = cv2.SIFT.create(nfeatures=MAX_POINTS, contrastThreshold=0.01)
    found: Any = sift.detectAndCompute(grey, _ellipse(grey.shape))  # no descriptors without points
    places = np.array([point.pt for point in found[0]], dtype=np.float32).reshape(-1, 2)
    descriptors = np.zeros((0, 128)) if found[1] is None else found[1]
    return KeyPoints(places, descriptors.astype(np.uint8))


def fit_transform(first: KeyPoints, second: KeyPoints) -> tuple[npt.NDArray[np.float64] | None, int]:
    """The similarity transform from the second image to the first, (2, 3), and how many matches it explains.

    Args:
        first: key points of one image.
        second: of the other.
    """
    if min(len(first.points), len(second.points)) < MIN_INLIERS:
        return None, 0
    nearest, ratios = _matches(second.descriptors, first.descriptors)
    good = np.flatnonzero(ratios < RATIO)
    if len(good) < MIN_INLIERS:
        return None, 0
    origins, places = second.points[good], first.points[nearest[good]]
    # OpenCV's stubs do not know that there may be no transform.
    fitted: Any = cv2.estimateAffinePartial2D(
        origins, places, method=cv2.RANSAC, ransacReprojThreshold=REACH, maxIters=500
    )
    return (None, 0) if fitted[0] is None else (fitted[0], int(fitted[1].sum()))


def _matches(descriptors: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], Floats]:
    """The nearest other of each descriptor, and its distance over that of the second nearest."""
    one, other = (values.astype(np.float32) for values in (descriptors, others))
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    two = np.argpartition(squares, 1, axis=1)[:, :2]
    distances = np.sqrt(np.maximum(np.take_along_axis(squares, two, axis=1), 0))
    order = distances.argsort(axis=1)
    nearest = np.take_along_axis(two, order, axis=1)[:, 0]
    near, far = np.take_along_axis(distances, order, axis=1).T
    return nearest, near / np.maximum(far, 1e-6)


def compare_detail(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], transform: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Overlap of two images, and the correlation of their fine detail there, see `Pair`.

    Args:
        first: uint8 RGB (H, W, 3).
        second: uint8 RGB (H, W, 3).
        transform: from the second to the first, of `fit_transform`.
    """
    one, other = _scaled(first), _scaled(second)
    inside, laid = _ellipse(one.shape).astype(np.float32), _ellipse(other.shape).astype(np.float32)
    size, scale = one.shape[::-1], float(np.hypot(transform[0, 0], transform[1, 0]))
    shared = cv2.warpAffine(laid, transform, size) * inside
    overlap = float(shared.sum() / max(min(inside.sum(), laid.sum() * scale**2), 1.0))
    warped = np.asarray(cv2.warpAffine(other, transform, size, flags=cv2.INTER_AREA), dtype=np.uint8)
    return min(overlap, 1.0), _correlation(_detail(one), _detail(warped), shared)


def _scaled(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _ellipse(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """1 inside the inscribed ellipse, uint8 (H, W)."""
    rows, columns = (np.arange(length) + 0.5 for length in shape)
    radius = np.hypot(rows[:, None] / shape[0] - 0.5, columns / shape[1] - 0.5)
    return (radius < RIM / 2).astype(np.uint8)


def _detail(grey: npt.NDArray[np.uint8]) -> Floats:
    values = grey.astype(np.float32)
    return values - cv2.GaussianBlur(values, (0, 0), DETAIL)


def _correlation(one: Floats, other: Floats, weights: Floats) -> float:
    """Weighted correlation of two images; 0 where one is flat."""
    total = max(float(weights.sum()), 1e-12)
    one, other = (values - (values * weights).sum() / total for values in (one, other))
    spread = np.sqrt((one**2 * weights).sum() * (other**2 * weights).sum())
    return float((one * other * weights).sum() / spread) if spread > 0 else 0.0
