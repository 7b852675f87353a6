from collections.abc import Callable
from pathlib import Path

import pytest

from selcn.data.sources import Indexed, index_folder
from selcn.errors import ConfigError, DataError
from selcn.labels import LabelSet

Picture = Callable[..., Path]


def test_a_folder_a_class_and_its_masks(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "data" / "MEL" / "a.jpg")
    picture(tmp_path / "data" / "nv" / "b.PNG")
    picture(tmp_path / "masks" / "a_mask.png")
    table = index_folder(tmp_path / "data", masks=tmp_path / "masks").table
    assert table["diagnosis"].tolist() == ["mel", "nv"]
    assert table["mask_path"].tolist() == [str(tmp_path / "masks" / "a_mask.png"), ""]


def test_an_unknown_class_is_kept_by_its_name_and_a_doubled_picture_refused(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "Seborrheic_Keratosis" / "a.jpg")
    picture(tmp_path / "Plantar wart" / "b.jpg")
    indexed = index_folder(tmp_path)
    assert indexed.table["diagnosis"].tolist() == ["Plantar wart", "seborrheic-keratosis"]
    assert indexed.table["published_diagnosis"].tolist() == ["", "Seborrheic_Keratosis"]
    assert indexed.diagnoses() == [("Plantar wart", "", 1), ("Seborrheic_Keratosis", "seborrheic-keratosis", 1)]
    renamed = indexed.renamed({"plantar wart": "wart"})
    assert renamed.table["diagnosis"].tolist() == ["wart", "seborrheic-keratosis"]
    assert renamed.diagnoses() == [
        ("Seborrheic_Keratosis", "seborrheic-keratosis", 1),
        ("Plantar wart", "wart", 1),
    ]
    assert LabelSet.of(["wart", "bkl"]).numbers(renamed.table["diagnosis"]) == [0, 1]
    with pytest.raises(ConfigError, match="no image has the diagnosis corn"):
        indexed.renamed({"corn": "wart"})
    picture(tmp_path / "nv" / "a.jpg", 7)
    with pytest.raises(DataError, match=r"Keratosis/a\.jpg and .*nv/a\.jpg have one name"):
        index_folder(tmp_path)


def test_one_picture_in_two_classes_is_refused_and_twice_in_one_class_counted_once(
    tmp_path: Path, picture: Picture
) -> None:
    picture(tmp_path / "nv" / "a.jpg")
    picture(tmp_path / "nv" / "again" / "a.jpg")
    assert index_folder(tmp_path).table["image_id"].tolist() == ["a"]
    picture(tmp_path / "mel" / "a.jpg")
    with pytest.raises(DataError, match=r"mel/a\.jpg and .*nv/a\.jpg are one image in two folders"):
        index_folder(tmp_path)


@pytest.mark.parametrize(("folder", "name"), [("masks", "a.png"), ("masks", "a_mask.png"), (".", "a_mask.png")])
def test_masks_below_or_among_the_images_are_no_images(
    tmp_path: Path, picture: Picture, folder: str, name: str
) -> None:
    picture(tmp_path / "a.png")
    mask = picture(tmp_path / folder / name, 255)
    table = index_folder(tmp_path, masks=tmp_path / folder).table
    assert table[["image_id", "mask_path"]].to_numpy().tolist() == [["a", str(mask)]]


def test_hidden_files_are_no_images_and_masks_must_match(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "data" / "a.jpg")
    picture(tmp_path / "data" / "._a.jpg")
    picture(tmp_path / "masks" / "b_mask.png")
    assert index_folder(tmp_path / "data").table["image_id"].tolist() == ["a"]
    with pytest.raises(DataError, match="no mask is named after an image"):
        index_folder(tmp_path / "data", masks=tmp_path / "masks")


@pytest.fixture
def labelled(tmp_path: Path, picture: Picture) -> Path:
    """Pictures whose names are numbers, paths and words, and a table that calls its columns otherwise."""
    for name in ("7.png", "ä b/8.jpg", "deep/er/x.png", "spare.png"):
        picture(tmp_path / "data" / name)
    picture(tmp_path / "masks" / "8_mask.png")
    return tmp_path


def index_labelled(folder: Path, text: str, **columns: str) -> Indexed:
    (folder / "labels.csv").write_text(text)
    return index_folder(folder / "data", masks=folder / "masks", labels=folder / "labels.csv", columns=columns)


def test_a_table_names_pictures_by_number_name_or_path(labelled: Path) -> None:
    text = "pic;dx;case;age\n7.0;Nevus;1.0;NaN\n8.0;melanoma;1.0;40\n"
    indexed = index_labelled(labelled, text, image_id="pic", diagnosis="dx", lesion_id="case")
    assert indexed.table["image_id"].tolist() == ["7", "8"]
    assert indexed.table["diagnosis"].tolist() == ["nv", "mel"]
    assert indexed.table["lesion_id"].tolist() == ["1", "1"]
    assert indexed.table["age"].tolist() == ["NaN", "40"]
    assert [Path(mask).name for mask in indexed.table["mask_path"]] == ["", "8_mask.png"]
    assert indexed.notes == {"images that the table does not name": 2}
    by_path = index_labelled(labelled, "file,symmetry\nä b\\8.jpg,one-axis\n./deep/er/x.png,\n", image_path="file")
    assert by_path.table["image_id"].tolist() == ["8", "x"]
    assert by_path.table["symmetry"].tolist() == ["one-axis", ""]


def test_rows_without_a_picture_are_all_named(labelled: Path, picture: Picture) -> None:
    picture(labelled / "data" / "other" / "x.png")
    with pytest.raises(DataError) as caught:
        index_labelled(labelled, "image_id,diagnosis\n7,nv\n9,nv\nx,mel\n10,df\n")
    for fault in ("line 3: no image is named '9'", "line 4: 2 images are named x", "line 5: no image is named '10'"):
        assert fault in str(caught.value)


def test_columns_that_are_not_there_are_named(labelled: Path) -> None:
    with pytest.raises(ConfigError, match=r"--column: .*labels\.csv has no column dx; it holds image_id, diagnosis"):
        index_labelled(labelled, "image_id,diagnosis\n7,nv\n", diagnosis="dx")
    with pytest.raises(
        DataError, match="no column image_id or image_path, but name; name one with --column image_id=THEIRS"
    ):
        index_labelled(labelled, "name,diagnosis\n7,nv\n")


def test_a_masks_own_column_wins(labelled: Path) -> None:
    table = index_labelled(labelled, "image_id,mask_path\n8,masks/other.png\n7,\n").table
    assert table["mask_path"].tolist() == [str(labelled / "data" / "masks" / "other.png"), ""]


def test_an_exact_path_wins_and_an_id_loses_its_suffix(labelled: Path, picture: Picture) -> None:
    picture(labelled / "data" / "x.png")
    table = index_labelled(labelled, "image_id,diagnosis\nx.png,nv\ndeep/er/x.png,mel\n7,df\n").table
    assert table["image_id"].tolist() == ["x", "deep/er/x", "7"]
    names = [Path(file).relative_to(labelled / "data").as_posix() for file in table["image_path"]]
    assert names == ["x.png", "deep/er/x.png", "7.png"]


def test_rows_of_one_picture_are_named(labelled: Path) -> None:
    with pytest.raises(DataError, match=r"line 3: 8\.jpg is the image of another row too"):
        index_labelled(labelled, "image_id,image_path\na,ä b/8.jpg\nb,8.jpg\n")


def test_what_tools_write_for_an_unknown_diagnosis_is_none(labelled: Path) -> None:
    indexed = index_labelled(labelled, "image_id,diagnosis\n7,NaN\n8,none\n")
    assert indexed.table["diagnosis"].tolist() == ["", ""]
    assert indexed.diagnoses() == []
