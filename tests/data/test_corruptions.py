"""Corruptions: the same for the same seed, stronger by severity, and pixels moved to where their matrix says."""

import cv2
import numpy as np
import pytest

from selcn.data.corruptions import CLEAN, CORRUPTIONS, SEVERITIES, corrupt, generator_of, move_of
from selcn.errors import ConfigError
from selcn.inference.reliability import sharpness
from selcn.runs.robustness import stability

CHANGES = [name for name, one in CORRUPTIONS.items() if one.change]
MOVES = [name for name, one in CORRUPTIONS.items() if one.move]


def picture() -> np.ndarray:
    """A lesion on skin with some texture."""
    rows, columns = np.mgrid[:90, :120]
    lesion = np.hypot(rows - 45, columns - 60) < 25
    base = np.where(lesion[..., None], (120, 80, 60), (215, 170, 150)).astype(np.float64)
    return np.clip(base + np.random.default_rng(0).normal(0, 6, base.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_depends_on_seed_image_and_severity_alone(name: str) -> None:
    image = picture()
    spoiled = [corrupt(image, name, severity, generator_of(1, "a", name)) for severity in SEVERITIES]
    again = [corrupt(image, name, severity, generator_of(1, "a", name)) for severity in SEVERITIES]
    assert all((one == other).all() for one, other in zip(spoiled, again, strict=True))
    assert {one.shape for one in spoiled} == {image.shape}
    changed = [np.abs(one.astype(int) - image).mean() for one in spoiled]
    assert changed[0] > 0
    if name in CHANGES:
        assert changed == sorted(changed), "each severity changes the image more than the one before"
    assert (image == picture()).all(), "the image itself is left as it is"


def test_blur_noise_and_compression_do_what_they_are_called() -> None:
    image = picture()

    def last(name: str, severity: int = 5) -> np.ndarray:
        return corrupt(image, name, severity, generator_of(0, "a", name))

    assert sharpness(last("defocus")) < sharpness(last("defocus", 2)) < sharpness(image)
    assert sharpness(last("motion")) < sharpness(image) < sharpness(last("noise", 1)) < sharpness(last("noise"))
    blurred = cv2.blur(image, (9, 9)).astype(int) - image
    assert np.abs(last("motion").astype(int) - image).mean() < np.abs(blurred).mean() * 3
    assert np.abs(last("brightness").mean() / image.mean() - 1) == pytest.approx(0.5, abs=0.02)
    corners, middle = last("vignette")[[0, 0, -1, -1], [0, -1, 0, -1]], last("vignette")[40:50, 50:70]
    assert corners.max() <= 2
    assert middle.mean() == pytest.approx(image[40:50, 50:70].mean(), abs=2)
    gains = last("white-balance").mean((0, 1)) / image.mean((0, 1))
    assert np.abs(gains - 1).max() == pytest.approx(0.3, abs=0.08)
    ink = last("ink").astype(int)
    stroke = np.abs(ink - image).max(-1) > 60
    assert stroke.mean() > 0.01
    blue = ink[stroke][:, 2].sum() / ink[stroke].sum()
    assert blue > 0.38 > image[..., 2].sum() / image.sum(), "violet: more of its light is blue"
    assert (corrupt(image, CLEAN, 0, generator_of(0, "a", CLEAN)) == image).all()


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("severity", [1, 5])
def test_a_map_is_moved_as_its_image_is(name: str, severity: int) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    cv2.ellipse(image, (80, 60), (48, 12), 0, 0, 360, (255, 255, 255), -1)
    cv2.circle(image, (110, 70), 9, (160, 160, 160), -1)
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), 6), dtype=np.uint8)
    spoiled = corrupt(smooth, name, severity, generator_of(3, "b", name))
    matrix = move_of(name, severity, (80, 60), generator_of(3, "b", name))
    clean, found = (cv2.resize(one[..., 0], (20, 15), interpolation=cv2.INTER_AREA) / 255 for one in (smooth, spoiled))
    assert stability(clean, found, matrix, (80, 60)) > 0.8
    if severity == 5:
        assert stability(clean, found, matrix, (80, 60)) > stability(clean, found, None, (80, 60)) + 0.05


def test_stability_is_spearmans() -> None:
    from scipy.stats import spearmanr

    one, other = np.random.default_rng(0).random((2, 5, 7)).round(1)
    assert stability(one, other, None, (70, 50)) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert np.isnan(stability(one, np.zeros((5, 7)), None, (70, 50)))


def test_unknown_corruptions_and_severities_are_refused() -> None:
    with pytest.raises(ConfigError, match="corruption fog: unknown; known are defocus, motion"):
        corrupt(picture(), "fog", 1, generator_of(0, "a", "fog"))
    with pytest.raises(ConfigError, match="severity 6: give one of 1, 2, 3, 4, 5"):
        corrupt(picture(), "noise", 6, generator_of(0, "a", "noise"))
