import cv2
import numpy as np
import pytest

from selcn.data.imaging.prepare import prepare_image, prepare_mask, remove_hair, resize, without_hair


def test_a_pixel_of_a_shrunken_mask_is_lesion_where_half_of_it_is() -> None:
    mask = np.zeros((4, 8), bool)
    mask[:2, :2] = True  # all of the first block
    mask[:2, 2] = True  # half of the second
    mask[0, 4] = True  # a quarter of the third
    assert prepare_mask(mask, (4, 2)).tolist() == [[True, True, False, False], [False] * 4]


def test_shrinking_averages_and_growing_interpolates() -> None:
    checks = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(prepare_image(np.dstack([checks] * 3), (4, 4), hair=False).astype(int) - 128).max() <= 1
    assert prepare_image(np.full((3, 3, 3), 7, np.uint8), (9, 6), hair=False).shape == (6, 9, 3)


@pytest.mark.parametrize("scale", [1, 2])
def test_hair_goes_and_lesions_stay_at_any_resolution(scale: int) -> None:
    clean = np.full((150 * scale, 200 * scale, 3), (200, 160, 150), np.uint8)
    cv2.circle(clean, (100 * scale, 75 * scale), 30 * scale, (90, 60, 50), -1)
    hairy = clean.copy()
    cv2.line(hairy, (0, 20 * scale), (200 * scale, 130 * scale), (40, 30, 30), 2 * scale)
    before, after = (np.abs(image.astype(int) - clean).mean() for image in (hairy, remove_hair(hairy)))
    assert after < 0.25 * before
    assert np.abs(remove_hair(clean).astype(int) - clean).mean() < 0.5


@pytest.mark.parametrize(("width", "kernel"), [(600, 17), (200, 7), (1200, 35), (60, 3)])
def test_hair_removal_is_the_methods_with_a_kernel_that_scales(width: int, kernel: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (width * 3 // 4, width, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), width / 100)
    for n in range(5):
        cv2.line(picture, (n * width // 5, 0), (width - n * width // 7, width), (20, 15, 10), max(1, width // 200))
    blue_first = np.rint(picture @ np.array([0.114, 0.587, 0.299])).astype(int)  # the thesis': RGB's weights on BGR
    # Black-hat is closing minus picture: dilation then erosion, here by hand with the cross.
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    cross = np.zeros((kernel, kernel), np.uint8)
    cross[kernel // 2], cross[:, kernel // 2] = 1, 1
    closed = cv2.erode(cv2.dilate(grey, cross), cross)
    hair = ((closed.astype(int) - grey) > 10).astype(np.uint8)
    assert 0 < hair.mean() < 0.5
    assert (remove_hair(picture) == cv2.inpaint(picture, hair, 1, cv2.INPAINT_TELEA)).all()
    grey = blue_first.astype(np.uint8)
    hair = ((cv2.erode(cv2.dilate(grey, cross), cross).astype(int) - grey) > 10).astype(np.uint8)
    expected = cv2.inpaint(picture, hair, 1, cv2.INPAINT_TELEA)
    # OpenCV's integer grey may differ from the rounded one by a level, at the threshold.
    assert (remove_hair(picture, swapped=True) == expected).mean() > 0.99
    assert width > 200 or (remove_hair(picture) != expected).mean() > 0.01
    assert (without_hair(picture, "thesis") == remove_hair(picture, swapped=True)).all()


def hairy(width: int) -> np.ndarray:
    """A lesion under hairs, with noise."""
    generator = np.random.default_rng(0)
    image = np.full((width * 3 // 4, width, 3), (200, 160, 150), np.uint8)
    cv2.circle(image, (width // 2, width * 3 // 8), width // 6, (90, 60, 50), -1)
    for start, end in generator.integers(0, width, (12, 2, 2)):
        cv2.line(image, start.tolist(), end.tolist(), (40, 30, 25), width // 250)
    return (image + generator.normal(0, 4, image.shape)).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("width", "most"), [(600, 0.0), (1024, 0.0), (2048, 1.0)])
def test_large_images_are_shrunk_before_hair_goes_with_little_difference(width: int, most: float) -> None:
    image = hairy(width)
    at_its_own_size = resize(remove_hair(image), (224, 168))
    difference = np.abs(prepare_image(image, (224, 168), hair=True).astype(int) - at_its_own_size).mean()
    assert difference <= most
    assert np.abs(resize(image, (224, 168)).astype(int) - at_its_own_size).mean() > 2  # what the hairs amount to


def test_no_image_is_shrunk_below_twice_its_prepared_size() -> None:
    image = hairy(1600)
    expected = resize(remove_hair(image), (800, 600))
    assert (prepare_image(image, (800, 600), hair=True) == expected).all()
