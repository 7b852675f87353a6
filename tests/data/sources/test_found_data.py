"""Trees and tables as people have them: what is used, and the messages about the rest."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging.read import read_image, read_mask
from selcn.data.sources import index_folder, index_ham10000, index_isic, index_ph2
from selcn.data.sources.isic import one_hot
from selcn.errors import DataError
from selcn.io.tables import read_table

Picture = Callable[..., Path]


def labelled(folder: Path, text: str, *, skip_missing: bool = False) -> list[list[str]]:
    (folder.parent / "t.csv").write_text(text)
    table = index_folder(folder, labels=folder.parent / "t.csv", skip_missing=skip_missing).table
    return table[["image_id", "image_path", "diagnosis"]].to_numpy().tolist()


def test_a_mask_beside_its_image_is_its_mask_and_no_second_image(tmp_path: Path, picture: Picture) -> None:
    image, mask = picture(tmp_path / "nevus" / "X.jpg"), picture(tmp_path / "nevus" / "X_mask.png", 255)
    picture(tmp_path / "nevus" / "X_superpixels.png")
    picture(tmp_path / "nevus" / "Q_segmentation.png")
    (tmp_path / "nevus" / "notes.docx").write_text("x")
    indexed = index_folder(tmp_path)
    rows = indexed.table[["image_id", "image_path", "mask_path", "diagnosis"]].to_numpy().tolist()
    assert rows == [["X", str(image), str(mask), "nv"]]
    assert indexed.notes == {
        "masks not used": 1,
        "by-products such as superpixels not used": 1,
        "files of other kinds not used (.docx)": 1,
    }


def test_subsets_and_folders_called_images_are_no_classes(tmp_path: Path, picture: Picture) -> None:
    for name in ("Train/nevus/a.png", "Train/melanoma/b.png", "Test/nevus/c.png", "nevus/d.png", "images/e.png"):
        picture(tmp_path / "D" / name)
    table = index_folder(tmp_path / "D").table.set_index("image_id")
    assert table["diagnosis"].to_dict() == {"a": "nv", "b": "mel", "c": "nv", "d": "nv", "e": ""}
    assert table["source"].to_dict() == {"a": "D-train", "b": "D-train", "c": "D-test", "d": "D", "e": "D"}


def test_a_table_without_a_column_diagnosis_says_which_there_are(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "data" / "a.png")
    (tmp_path / "t.csv").write_text("IMAGE_ID,dx\na,nevus\n")
    notes = index_folder(tmp_path / "data", labels=tmp_path / "t.csv").notes
    assert notes == {
        "images without a diagnosis, since t.csv has no column diagnosis, but dx: name it with --column "
        "diagnosis=THEIRS": 1
    }
    indexed = index_folder(tmp_path / "data", labels=tmp_path / "t.csv", columns={"diagnosis": "DX"})
    assert indexed.table["diagnosis"].tolist() == ["nv"]
    assert indexed.notes == {}


def test_a_table_may_name_images_by_absolute_and_longer_paths(tmp_path: Path, picture: Picture) -> None:
    folder = tmp_path / "data"
    a, b = picture(folder / "nevus" / "a.png"), picture(folder / "melanoma" / "b.png", 7)
    text = f"Image_Path,Diagnosis\n{a},nevus\nC:\\old\\data\\melanoma\\b.png,melanoma\n"
    assert [row[1:] for row in labelled(folder, text)] == [[str(a), "nv"], [str(b), "mel"]]
    with pytest.raises(DataError, match=r"no image is named '.*elsewhere/a\.png'"):
        labelled(folder, f"image_path,diagnosis\n{picture(tmp_path / 'elsewhere' / 'a.png')},nevus\n")


def test_ids_may_have_the_suffix_of_another_format(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "data" / "a.png")
    assert labelled(tmp_path / "data", "image_id,diagnosis\na.jpg,nevus\n")[0][::2] == ["a", "nv"]
    ham = tmp_path / "ham"
    picture(ham / "ISIC_1.jpg")
    (ham / "HAM10000_metadata.csv").write_text("lesion_id,IMAGE_ID,DX\nL,ISIC_1.jpg,nv\n")
    assert index_ham10000([ham]).table["image_id"].tolist() == ["ISIC_1"]


def test_rows_whose_image_is_gone_are_skipped_only_where_asked(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "data" / "a.png")
    text = "image_id,diagnosis\na,nevus\ngone,melanoma\n"
    with pytest.raises(DataError, match=r"line 3: no image is named 'gone'; .*--skip-missing"):
        labelled(tmp_path / "data", text)
    assert [row[0] for row in labelled(tmp_path / "data", text, skip_missing=True)] == ["a"]
    notes = index_folder(tmp_path / "data", labels=tmp_path / "t.csv", skip_missing=True).notes
    assert notes == {"rows of t.csv skipped, whose image is not there": 1}
    (tmp_path / "data" / "HAM10000_metadata.csv").write_text("lesion_id,image_id,dx\nL,a,nv\nL,b,nv\n")
    with pytest.raises(DataError, match="--skip-missing"):
        index_ham10000([tmp_path / "data"])
    indexed = index_ham10000([tmp_path / "data"], skip_missing=True)
    assert indexed.table["image_id"].tolist() == ["a"]
    assert indexed.notes == {"rows skipped, whose image is not there": 1}
    picture(tmp_path / "ph2" / "IMD002.bmp")
    (tmp_path / "ph2" / "PH2_dataset.txt").write_text("|| IMD002 || || 0 || 0 |\n|| IMD003 || || 0 || 0 |\n")
    assert len(index_ph2([tmp_path / "ph2"], skip_missing=True).table) == 1


@pytest.mark.parametrize("values", ["True,False,False", "1,0,0", "TRUE,FALSE,FALSE"])
def test_one_hot_tables_in_other_letters(tmp_path: Path, picture: Picture, values: str) -> None:
    picture(tmp_path / "ISIC_0000001.jpg")
    (tmp_path / "truth.csv").write_text(f"image,mel,nv,Bcc\nISIC_0000001.jpg,{values}\n")
    indexed = index_isic([tmp_path])
    assert indexed.table["diagnosis"].tolist() == ["mel"]
    rows = read_table(tmp_path / "truth.csv")
    assert one_hot(rows, ["mel", "nv", "Bcc"], tmp_path) == ["mel"]


def test_a_table_of_another_layout_is_told(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "ISIC_0000001.jpg")
    (tmp_path / "truth.csv").write_text("name,label\nISIC_0000001,melanoma\n")
    (tmp_path / "read.me").write_text("")
    assert index_isic([tmp_path]).notes == {
        "tables not read: truth.csv has no column isic_id or image_name or image_id or image, but name, label": 1,
        "files of other kinds not used (.me)": 1,
    }


def test_hdf5_and_table_of_isic_2024(tmp_path: Path, picture: Picture) -> None:
    encoded = io.BytesIO()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(encoded, "JPEG")
    with h5py.File(tmp_path / "train-image.hdf5", "w") as file:
        for name in ("ISIC_0015670", "ISIC_0015671"):
            file[name] = np.void(encoded.getvalue())
    unpacked = picture(tmp_path / "image" / "ISIC_0015671.jpg")
    (tmp_path / "train-metadata.csv").write_text("isic_id,target,patient_id\nISIC_0015670,1,P\nISIC_0015671,0,P\n")
    table = index_isic([tmp_path]).table
    assert table["image_path"].tolist() == [f"{tmp_path}/train-image.hdf5#ISIC_0015670", str(unpacked)]
    assert table["diagnosis"].tolist() == ["malignant", "benign"]
    write_catalog(table, tmp_path / "c.csv")
    assert read_catalog(tmp_path / "c.csv")["image_path"].tolist() == table["image_path"].tolist()


def test_pages_are_rows_of_one_lesion_with_the_pages_of_their_mask(tmp_path: Path) -> None:
    for name, count in (("nevus/a", 3), ("nevus/a_mask", 3), ("nevus/b", 2), ("nevus/b_mask", 1), ("nevus/c", 1)):
        pages = [Image.new("RGB", (40, 40), (10 * number, 0, 0)) for number in range(count)]
        (tmp_path / "nevus").mkdir(exist_ok=True)
        pages[0].save(tmp_path / f"{name}.tif", save_all=True, append_images=pages[1:])
    table = index_folder(tmp_path).table
    assert table["image_id"].tolist() == [f"a-frame-{n}" for n in range(3)] + ["b-frame-0", "b-frame-1", "c"]
    assert table["image_path"].tolist()[2:4] == [f"{tmp_path}/nevus/a.tif#2", f"{tmp_path}/nevus/b.tif#0"]
    assert table["mask_path"].tolist() == [f"{tmp_path}/nevus/a_mask.tif#{n}" for n in range(3)] + [""] * 3
    assert table["lesion_id"].tolist() == ["a"] * 3 + ["b"] * 2 + [""]
    assert set(table["diagnosis"]) == {"nv"}


def test_a_name_that_is_not_utf_8_is_one_row(tmp_path: Path, picture: Picture) -> None:
    raw = os.fsencode(tmp_path) + b"/data/nevus/b\xe4d"
    try:
        os.rename(picture(tmp_path / "data/nevus/x.png"), raw + b".png")  # noqa: PTH104 - of bytes
        os.rename(picture(tmp_path / "data/nevus/x.png", 255), raw + b"_mask.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    write_catalog(index_folder(tmp_path / "data").table, tmp_path / "c.csv")
    table = read_catalog(tmp_path / "c.csv")
    assert table[["image_id", "diagnosis"]].to_numpy().tolist() == [["b\\xe4d", "nv"]]
    assert read_image(Path(table["image_path"][0])).mean() == 128
    assert read_mask(Path(table["mask_path"][0])).all()


def test_a_formula_for_a_name_is_text_to_a_spreadsheet_and_a_name_to_the_catalog(
    tmp_path: Path, picture: Picture
) -> None:
    picture(tmp_path / "nevus" / "=HYPERLINK(1).png")
    table = index_folder(tmp_path).table
    write_catalog(table, tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("'=HYPERLINK(1),nevus/=HYPERLINK(1).png,")
    assert read_catalog(tmp_path / "c.csv")["image_id"].tolist() == ["=HYPERLINK(1)"]
