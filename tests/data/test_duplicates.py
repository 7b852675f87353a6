from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from selcn.data.catalog import complete_catalog
from selcn.data.duplicates import SIDE, TURNS, Duplicate, Fingerprint, find_duplicates, fingerprint, match
from selcn.errors import DataError


def picture(seed: int, height: int = 150, width: int = 200) -> np.ndarray:
    """A blotchy lesion on skin, as wide as dermoscopic pictures are."""
    generator = np.random.default_rng(seed)
    noise = cv2.resize(generator.random((12, 16)), (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot((rows - height / 2) / height, (columns - width / 2) / width) < 0.3
    image = np.where(inside[..., None], (120, 70, 50), (225, 180, 165)) + 60 * (noise[..., None] - 0.5)
    return np.asarray(image.clip(0, 255), np.uint8)


def pairs(*images: np.ndarray) -> list[Duplicate]:
    prints = [fingerprint(image.tobytes(), np.ascontiguousarray(image)) for image in images]
    return match([str(n) for n in range(len(images))], prints)


def recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "recompressed": lambda image: recompressed(image, 30),
    "half as large": lambda image: cv2.resize(image, (100, 75), interpolation=cv2.INTER_AREA),
    "three times as large": lambda image: cv2.resize(image, (600, 450)),
    "squeezed to a square": lambda image: cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA),
    "brighter": lambda image: (image * 1.1 + 8).clip(0, 255).astype(np.uint8),
    "other white balance": lambda image: (image * [0.9, 1, 0.85]).astype(np.uint8),
    "softer": lambda image: cv2.GaussianBlur(image, (0, 0), 1),
    "without its rim": lambda image: image[2:-2, 2:-2],
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("seed", range(5))
def test_copies_are_found_and_strangers_are_not(kind: str, seed: int) -> None:
    found = pairs(picture(seed), picture(seed + 100), COPIES[kind](picture(seed)))
    assert [(one.first, one.second, one.exact, one.turn) for one in found] == [("0", "2", False, "as it is")]
    assert found[0].similarity > 0.93


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(0, 7))
def test_every_turned_and_mirrored_copy_is_found_and_named(seed: int, turn: int) -> None:
    image = picture(seed)
    # Undo, in another way than the code does, what the turn's name says was done to the second picture.
    made = [
        image,
        image[:, ::-1],
        image[::-1],
        np.rot90(image, 2),
        image.transpose(1, 0, 2),
        np.rot90(image, -1),
        np.rot90(image, 1),
        np.rot90(image, 2).transpose(1, 0, 2),
    ][turn]
    (found,) = pairs(image, made)
    names = {5: TURNS[6], 6: TURNS[5]}  # what makes the second like the first undoes a quarter turn by its opposite
    assert found.turn == names.get(turn, TURNS[turn])


def test_byte_identical_files_are_told_with_the_first_of_them() -> None:
    one, other = picture(0), picture(1)
    found = pairs(one, other, one, one)
    assert found == [Duplicate("0", "2", True, 1.0, "as it is"), Duplicate("0", "3", True, 1.0, "as it is")]


def test_a_dermoscopes_dark_rim_makes_no_duplicates() -> None:
    rows, columns = np.mgrid[:150, :200]
    rim = np.hypot(rows - 75, columns - 100) > 95
    images = [np.where(rim[..., None], 0, picture(seed)).astype(np.uint8) for seed in range(40)]
    assert pairs(*images) == []


def test_blank_pictures_are_not_copies_of_each_other() -> None:
    assert pairs(*[np.full((150, 200, 3), level, np.uint8) for level in range(0, 250, 5)]) == []


def test_there_may_be_one_picture_or_none() -> None:
    assert match([], []) == []
    assert match(["1"], [Fingerprint(b"", np.zeros((SIDE, SIDE), np.uint8))]) == []


def test_files_are_read_and_the_unreadable_all_named(tmp_path: Path) -> None:
    for name, image in (("a", picture(0)), ("b", picture(1)), ("c", picture(0)[:, ::-1])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    rows = [{"image_id": name, "image_path": str(tmp_path / f"{name}.png")} for name in "abc"]
    table = complete_catalog(pd.DataFrame(rows), "catalog")
    seen: list[tuple[int, int]] = []
    (found,) = find_duplicates(table, jobs=2, on_progress=lambda done, total: seen.append((done, total)))
    assert (found.first, found.second, found.turn) == ("a", "c", "mirrored")
    assert seen == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"2 images cannot be read: line 2: .*a\.png: .* \| line 4: .*c\.png: "):
        find_duplicates(table)


def test_a_dicom_image_is_found_to_be_a_mirrored_png(tmp_path: Path, dataset: Callable[..., FileDataset]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(0)[..., ::-1])
    mirrored = np.ascontiguousarray(picture(0)[:, ::-1])
    dataset(mirrored, "RGB").save_as(tmp_path / "b.dcm", enforce_file_format=True)
    rows = [{"image_id": name, "image_path": str(tmp_path / name)} for name in ("a.png", "b.dcm")]
    (found,) = find_duplicates(complete_catalog(pd.DataFrame(rows), "catalog"), jobs=1)
    assert (found.first, found.second, found.exact, found.turn) == ("a.png", "b.dcm", False, "mirrored")
    assert found.similarity == pytest.approx(1, abs=1e-4)


def test_no_two_lesions_of_a_phantom_are_duplicates(phantom: pd.DataFrame) -> None:
    lesion = dict(zip(phantom["image_id"], phantom["lesion_id"], strict=True))
    assert [one for one in find_duplicates(phantom) if lesion[one.first] != lesion[one.second]] == []
