from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from selcn.data.sources import draw_lesions, find_images, find_pictures, index_folder, index_ham10000
from selcn.errors import DataError


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 8, 3), 128, np.uint8))
    return path


@pytest.fixture
def ham10000(tmp_path: Path) -> Path:
    for part, name in (("HAM10000_images_part_1", "ISIC_1"), ("HAM10000_images_part_2", "ISIC_2")):
        picture(tmp_path / part / f"{name}.jpg")
    picture(tmp_path / "masks" / "ISIC_1_segmentation.png")
    picture(tmp_path / "masks" / "ISIC_2_Segmentation.png")
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,age\nHAM_1,ISIC_1,mel,80.0\nHAM_2,ISIC_2,nv,\n"
    )
    (tmp_path / "symderm.csv").write_text("File,Mask,Dataset,labels_symmetry\nISIC_2.jpg,x,HAM10000,2\nX.jpg,x,PH2,0\n")
    return tmp_path


def test_ham10000_joins_images_masks_labels_and_symmetry(ham10000: Path) -> None:
    table = index_ham10000([ham10000], symmetry=ham10000 / "symderm.csv")
    assert table["image_id"].tolist() == ["ISIC_1", "ISIC_2"]
    assert table["diagnosis"].tolist() == ["mel", "nv"]
    assert table["lesion_id"].tolist() == ["HAM_1", "HAM_2"]
    assert table["symmetry"].tolist() == ["", "two-axes"]
    assert [Path(mask).name for mask in table["mask_path"]] == ["ISIC_1_segmentation.png", "ISIC_2_Segmentation.png"]
    assert table["age"].tolist() == ["80.0", ""]


def test_ham10000_names_missing_images_tables_and_columns(ham10000: Path) -> None:
    (ham10000 / "HAM10000_images_part_2" / "ISIC_2.jpg").unlink()
    with pytest.raises(DataError, match=r"1 images are not below the folders given, the first ISIC_2"):
        index_ham10000([ham10000])
    with pytest.raises(DataError, match="0 metadata tables found"):
        index_ham10000([ham10000 / "masks"])
    (ham10000 / "HAM10000_metadata.csv").write_text("image_id,dx\nISIC_1,mel\n")
    with pytest.raises(DataError, match="column lesion_id is missing"):
        index_ham10000([ham10000])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("File,labels_symmetry\nISIC_1.jpg,3\n", "row 2: label '3' is none of"),
        ("File,labels_symmetry\nY.jpg,1\n", "none of the"),
    ],
)
def test_wrong_symmetry_labels_are_refused(ham10000: Path, text: str, message: str) -> None:
    (ham10000 / "symderm.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        index_ham10000([ham10000], symmetry=ham10000 / "symderm.csv")


def test_a_folder_a_class_and_its_masks(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "MEL" / "a.jpg")
    picture(tmp_path / "data" / "nv" / "b.PNG")
    picture(tmp_path / "masks" / "a_mask.png")
    table = index_folder(tmp_path / "data", masks=tmp_path / "masks")
    assert table["diagnosis"].tolist() == ["mel", "nv"]
    assert table["mask_path"].tolist() == [str(tmp_path / "masks" / "a_mask.png"), ""]


def test_a_folder_of_unknown_classes_or_doubled_names_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "naevi" / "a.jpg")
    with pytest.raises(DataError, match="unknown diagnosis 'naevi'"):
        index_folder(tmp_path)
    (tmp_path / "naevi").rename(tmp_path / "nv")
    picture(tmp_path / "mel" / "a.jpg")
    with pytest.raises(DataError, match="image_id 'a' stands twice"):
        index_folder(tmp_path)


def test_folders_without_images_and_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_pictures([tmp_path / "absent"])
    file = picture(tmp_path / "x.jpg")
    assert find_pictures([file, tmp_path]) == [file, file]


def test_drawn_lesions_keep_all_images_even_classes_and_labelled_symmetry_first() -> None:
    rows = [
        {
            "image_id": f"{diagnosis}{n}-{shot}",
            "lesion_id": f"{diagnosis}{n}",
            "diagnosis": diagnosis,
            "symmetry": symmetry,
        }
        for diagnosis, count in (("nv", 40), ("mel", 20), ("df", 3))
        for n in range(count)
        for shot, symmetry in enumerate(["", "asymmetric" if n < 8 else ""])
    ]
    drawn = draw_lesions(pd.DataFrame(rows), 19, seed=0)
    lesions = drawn.drop_duplicates("lesion_id")
    assert lesions["diagnosis"].value_counts().to_dict() == {"nv": 8, "mel": 8, "df": 3}
    assert len(drawn) == 2 * len(lesions)
    assert (drawn["symmetry"] != "").sum() == 19


def test_hidden_files_are_no_images_and_masks_must_match(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "a.jpg")
    picture(tmp_path / "data" / "._a.jpg")
    picture(tmp_path / "masks" / "b_mask.png")
    assert index_folder(tmp_path / "data")["image_id"].tolist() == ["a"]
    with pytest.raises(DataError, match="no mask is named after an image"):
        index_folder(tmp_path / "data", masks=tmp_path / "masks")
