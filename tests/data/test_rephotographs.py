"""Crops, turned and recoloured re-photographs are found among strangers, and nothing else is."""

import cv2
import numpy as np
import pytest

from selcn.data.rephotographs import find_pairs, middle, neighbours


def picture(seed: int) -> np.ndarray:
    """Skin with structure of several sizes, 200 x 150."""
    generator = np.random.default_rng(seed)
    grey = np.full((150, 200), 150.0)
    for cells, strength in ((6, 40), (20, 25), (60, 12)):
        coarse = generator.normal(size=(cells * 3 // 4, cells))
        grey += strength * cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC)
    return np.stack([grey + 30, grey, grey - 20], axis=2).clip(0, 255).astype(np.uint8)


def turned(image: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    transform = cv2.getRotationMatrix2D((100, 75), degrees, scale)
    return np.asarray(cv2.warpAffine(image, transform, (200, 150), borderMode=cv2.BORDER_REFLECT))


def test_crops_and_turned_photographs_are_found_and_strangers_are_not() -> None:
    whole = picture(0)
    images = [
        whole,
        whole[15:-15, 20:-20],
        turned(whole, 25, 1.2),
        (whole * 0.8 + 10).astype(np.uint8),
        picture(1),
        picture(2),
    ]
    every = [(one, other, 0.0) for one in range(6) for other in range(one + 1, 6)]
    calls: list[tuple[int, int]] = []
    found = find_pairs(
        lambda number: np.ascontiguousarray(images[number]), every, jobs=1, on_progress=lambda *done: calls.append(done)
    )
    assert {(pair.first, pair.second) for pair in found} == {(a, b) for a in range(4) for b in range(a + 1, 4)}
    known = {(pair.first, pair.second): pair for pair in found}
    # A crop of 80 % of the width is enlarged to the whole width before, and so has to shrink to lie on the original.
    assert known[0, 1].scale == pytest.approx(0.8, abs=0.01)
    assert known[0, 2].scale == pytest.approx(1 / 1.2, abs=0.01)
    assert known[0, 3].similarity > 0.95
    assert all(pair.similarity <= 1 for pair in found)
    assert calls[-1] == (15, 15)


def test_blank_images_have_nothing_in_common() -> None:
    blank = np.full((150, 200, 3), 90, dtype=np.uint8)
    assert find_pairs(lambda _: blank, [(0, 1, 1.0)], jobs=1) == []


def test_neighbours_are_those_of_a_whole_table_of_cosines() -> None:
    features = np.random.default_rng(0).normal(size=(40, 2, 6)).astype(np.float32) + 3
    centred = features - features[:, 0].mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=2, keepdims=True)
    expected: dict[tuple[int, int], float] = {}
    for view in (0, 1):
        cosines = units[:, view] @ units[:, 0].T
        np.fill_diagonal(cosines, -2)
        for one in range(40):
            for other in np.argsort(-cosines[one])[:3].tolist():
                pair = (min(one, other), max(one, other))
                expected[pair] = max(expected.get(pair, -2), float(cosines[one, other]))
    found = {(one, other): cosine for one, other, cosine in neighbours(features, 3)}
    assert found == pytest.approx(expected, abs=1e-5)
    assert neighbours(features[:1], 3) == []


def test_the_middle_of_an_image_has_its_size() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    image[1:9, 2:18] = 200
    assert (middle(image) == 200).all()
    assert middle(image).shape == image.shape
