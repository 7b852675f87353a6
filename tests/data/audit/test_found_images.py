"""The audit, duplicates and merge see what predict and prepare see."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataset import FileDataset

from selcn.data.audit import audit, fix
from selcn.data.audit.inspection import inspect
from selcn.data.catalog import complete_catalog
from selcn.data.duplicates import find_duplicates
from selcn.data.sources import merge_catalogs

NOISE = np.random.default_rng(0).integers(60, 200, (60, 80, 3), dtype=np.uint8)


def catalog(*paths: Path | str) -> pd.DataFrame:
    return complete_catalog(
        pd.DataFrame({"image_id": [Path(path).name for path in paths], "image_path": map(str, paths)}), "c"
    )


def kinds(table: pd.DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in audit(table, jobs=1).findings:
        found.setdefault(finding.kind, []).extend(finding.image_ids)
    return {kind: images for kind, images in found.items() if kind not in ("no-mask", "no-diagnosis")}


def test_dicom_pages_and_other_formats_are_sound(tmp_path: Path, dataset: Callable[..., FileDataset]) -> None:
    coarse = [
        np.random.default_rng(seed).integers(30, 220, (6, 8, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        for seed in range(7)
    ]
    for pixels, name in zip(coarse, ("IM0001", "1.2.840.7", "a.dicom"), strict=False):
        dataset(pixels, "RGB").save_as(tmp_path / name, enforce_file_format=True)
    pages = [Image.fromarray(pixels) for pixels in coarse[3:5]]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(coarse[5]).save(
        tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[Image.fromarray(coarse[6])]
    )
    Image.fromarray(coarse[6]).save(tmp_path / "b.jfif")
    names = ("IM0001", "1.2.840.7", "a.dicom", "p.tif#0", "p.tif#1", "phone.jpg", "b.jfif")
    table = catalog(*(tmp_path / name for name in names))
    found = audit(table, jobs=1)
    assert kinds(table) == {}
    assert len(fix(table, found)[0]) == 7
    assert find_duplicates(table, jobs=1) == []
    assert len(merge_catalogs([("a", table), ("b", table)]).table) == 7


def test_a_whole_file_of_frames_is_told(tmp_path: Path) -> None:
    pages = [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1])]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    assert kinds(catalog(tmp_path / "p.tif")) == {"several-frames": ["p.tif"]}


@pytest.mark.parametrize(
    ("name", "colours"),
    [
        ("m.png", ((0, 0, 0), (255, 255, 255))),
        ("m.jpg", ((0, 0, 0), (255, 255, 255))),
        ("m.bmp", ((9, 9, 9), (70, 0, 0))),
    ],
)
def test_an_image_of_two_colours_is_a_mask(
    tmp_path: Path, name: str, colours: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    rows, columns = np.mgrid[:240, :320]
    lesion = np.hypot(rows - 120, columns - 160) < 80
    pixels = np.where(lesion[..., None], colours[1], colours[0]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    assert [kind for kind, _ in inspect(str(tmp_path / name), "").faults] == ["two-valued", "no-mask"]


def test_a_dark_photograph_is_no_mask(tmp_path: Path) -> None:
    Image.fromarray(NOISE // 8).save(tmp_path / "a.png")
    assert [kind for kind, _ in inspect(str(tmp_path / "a.png"), "").faults] == ["no-mask"]


def test_images_named_as_masks_of_others_are_told(tmp_path: Path) -> None:
    for number, name in enumerate(("X.jpg", "X_mask.png", "arm_lesion.png")):
        Image.fromarray(np.roll(NOISE, 9 * number, 0)).save(tmp_path / name)
    assert kinds(catalog(*(tmp_path / name for name in ("X.jpg", "X_mask.png", "arm_lesion.png")))) == {
        "belongs-to-image": ["X_mask.png"]
    }


@pytest.mark.parametrize(
    ("palette", "indices", "lesion"),
    [
        ((0, 0, 0, 128, 0, 0), [0, 1], [False, True]),
        ((90, 90, 90, 10, 10, 10), [0, 1], [True, False]),
        ((0, 0, 0, 0, 0, 0), [0, 1], [False, True]),
        ((0, 0, 0, 128, 0, 0), [0, 0], [False, False]),
        ((0, 0, 0, 128, 0, 0), [1, 1], [True, True]),
        ((0, 0, 0, 255, 255, 255), [0, 1], [False, True]),
    ],
)
def test_a_palette_mask_of_two_indices(
    tmp_path: Path, palette: tuple[int, ...], indices: list[int], lesion: list[bool]
) -> None:
    from selcn.data.imaging.read import read_mask

    mask = Image.fromarray(np.array([indices], np.uint8)).convert("P")
    mask.putdata(indices)
    mask.putpalette(palette)
    mask.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png")[0].tolist() == lesion
