"""What belongs to an image, by names and folders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from selcn.data.discovery import find_images, match_masks, sort_files, walk
from selcn.data.naming import image_name
from selcn.errors import DataError

Picture = Callable[..., Path]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/ISIC_0000000.JPG", "ISIC_0000000"),
        ("ISIC_0000000", "ISIC_0000000"),
        ("1.2.840.10008.7", "1.2.840.10008.7"),
        ("scan.tif#2", "scan-frame-2"),
        ("IM0001#0", "IM0001-frame-0"),
        ("b/train-image.hdf5#ISIC_0015670", "ISIC_0015670"),
        ("a#3.jpg", "a#3"),
        ("x.v2.png", "x.v2"),
    ],
)
def test_an_image_is_called_by_its_file_frame_or_id(path: str, name: str) -> None:
    assert image_name(path) == name


def test_masks_and_by_products_are_told_by_name_folder_and_image(tmp_path: Path, picture: Picture) -> None:
    roles = {
        "images": [
            "nevus/X.jpg",
            "nevus/Y.png",
            "nevus/left_arm_lesion.jpg",
            "mel/mask_of_zorro.jpg",
            "mel/team_gt.png",
        ],
        "masks": [
            *("nevus/X_mask.png", "nevus/X-mask.png", "nevus/Y_lesion.png", "nevus/Y_seg.png", "nevus/Y_GT.png"),
            *("nevus/mask_X.png", "nevus/Y_lesion_mask.png", "nevus/masks/Y.png", "elsewhere/Z_segmentation.png"),
        ],
        "by_products": [
            "nevus/X_superpixels.png",
            "nevus/Z_attribute_globules.png",
            "Y_roi/Y_R1.png",
            "nevus/Y_overlay.png",
        ],
    }
    for names in roles.values():
        for name in names:
            picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = sort_files(walk(tmp_path), [tmp_path])
    for role, names in roles.items():
        assert {file.relative_to(tmp_path).as_posix() for file in getattr(found, role)} == set(names), role
    assert found.notes() == {
        "masks not used": 9,
        "by-products such as superpixels not used": 4,
        "files of other kinds not used (.txt)": 1,
    }
    one = [
        tmp_path / "nevus/Y_lesion_mask.png",
        tmp_path / "nevus/mask_X.png",
        tmp_path / "elsewhere/Z_segmentation.png",
    ]
    assert match_masks(one, ["X", "Y", "Y_lesion"]) == {"Y_lesion": one[0], "X": one[1]}
    with pytest.raises(DataError, match=r"Z_segmentation\.png|holds no images; masks not used: 1"):
        find_images(tmp_path / "elsewhere")


def test_dicom_is_found_by_its_content(tmp_path: Path, dataset: Callable[..., FileDataset]) -> None:
    for name in ("IM0001", "1.2.840.7", "a.dicom", "b.DCM", "DICOMDIR", "c.csv"):
        dataset(np.zeros((8, 8, 3), np.uint8), "RGB").save_as(tmp_path / name, enforce_file_format=True)
    (tmp_path / "README").write_text("no image")
    assert [path.name for path in find_images(tmp_path)] == ["1.2.840.7", "IM0001", "a.dicom", "b.DCM"]
