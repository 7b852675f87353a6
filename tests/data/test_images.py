from pathlib import Path

import cv2
import numpy as np
import pytest

from selcn.data.hair import remove_hair
from selcn.data.images import prepare_image, prepare_mask, read_image, read_mask, write_image
from selcn.errors import DataError


def test_colours_come_as_red_green_blue_and_survive_a_round_trip(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200
    write_image(tmp_path / "red.png", image)
    assert (read_image(tmp_path / "red.png") == image).all()


def test_grey_palette_alpha_and_16_bit_pictures_become_rgb(tmp_path: Path) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 256)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([grey] * 4))
    for name in ("grey", "deep", "alpha"):
        assert (read_image(tmp_path / f"{name}.png") == grey[..., None]).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png: not a readable picture; replace"):
        read_image(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"y\.png: cannot be read \(No such file"):
        read_image(tmp_path / "y.png")


def test_a_mask_may_differ_in_resolution_but_not_in_shape(tmp_path: Path) -> None:
    mask = np.zeros((450, 600), np.uint8)
    mask[:, 300:] = 255
    write_image(tmp_path / "m.png", mask)
    assert read_mask(tmp_path / "m.png", (200, 150)).mean() == 0.5
    with pytest.raises(DataError, match=r"m\.png: mask is 600x450 but its image is 200x200"):
        read_mask(tmp_path / "m.png", (200, 200))


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


def test_a_mask_of_zeros_and_ones_counts_and_a_grey_one_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 1
    write_image(tmp_path / "ones.png", mask)
    assert read_mask(tmp_path / "ones.png").mean() == 0.5
    write_image(tmp_path / "grey.png", mask * 90)
    with pytest.raises(DataError, match=r"grey\.png: the mask's brightest pixel is 90; write lesion as 255"):
        read_mask(tmp_path / "grey.png")
    write_image(tmp_path / "empty.png", mask * 0)
    assert not read_mask(tmp_path / "empty.png").any()
