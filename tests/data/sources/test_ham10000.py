from collections.abc import Callable
from pathlib import Path

import pytest

from selcn.data.sources import index_ham10000
from selcn.errors import DataError

Picture = Callable[..., Path]


@pytest.fixture
def ham10000(tmp_path: Path, picture: Picture) -> Path:
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
    table = index_ham10000([ham10000], symmetry=ham10000 / "symderm.csv").table
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
        ("File,labels_symmetry\nISIC_1.jpg,3\n", "line 2: label '3' is none of"),
        ("File,labels_symmetry\nY.jpg,1\n", "none of the"),
    ],
)
def test_wrong_symmetry_labels_are_refused(ham10000: Path, text: str, message: str) -> None:
    (ham10000 / "symderm.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        index_ham10000([ham10000], symmetry=ham10000 / "symderm.csv")


@pytest.mark.parametrize(("name", "tab"), [("HAM10000_metadata", ","), ("HAM10000_metadata.tab", "\t")])
def test_the_metadata_table_is_known_under_the_names_it_is_handed_out_with(ham10000: Path, name: str, tab: str) -> None:
    text = (ham10000 / "HAM10000_metadata.csv").read_text()
    (ham10000 / "HAM10000_metadata.csv").unlink()
    (ham10000 / name).write_text(text.replace(",", tab))
    pictures = [folder for folder in ham10000.iterdir() if folder.is_dir()]
    assert index_ham10000([*pictures, ham10000 / name]).table["diagnosis"].tolist() == ["mel", "nv"]


def test_rows_without_an_image_id_are_named(ham10000: Path) -> None:
    (ham10000 / "HAM10000_metadata.csv").write_text("lesion_id,image_id,dx\nL,ISIC_1,nv\nL,,mel\n")
    with pytest.raises(DataError, match="line 3: image_id is empty"):
        index_ham10000([ham10000])


def test_what_the_table_does_not_name_is_counted(ham10000: Path, picture: Picture) -> None:
    picture(ham10000 / "HAM10000_images_part_1" / "ISIC_3.jpg")
    without = index_ham10000([ham10000]).notes
    assert without == {"images that the table does not name": 1, "files of other kinds not used (.csv)": 1}
    symmetry = index_ham10000([ham10000], symmetry=ham10000 / "symderm.csv").notes
    assert symmetry == {"images that the table does not name": 1, "labels of PH2 without an image": 1}


def test_one_picture_in_both_parts_is_refused_with_both_places(ham10000: Path, picture: Picture) -> None:
    picture(ham10000 / "HAM10000_images_part_2" / "ISIC_1.jpg", 7)
    with pytest.raises(DataError, match=r"part_1/ISIC_1\.jpg and .*part_2/ISIC_1\.jpg have one name; rename or remove"):
        index_ham10000([ham10000])
