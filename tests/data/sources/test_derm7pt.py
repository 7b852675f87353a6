from collections.abc import Callable
from pathlib import Path

import pytest

from selcn.data.sources import Indexed, index_derm7pt, join_symmetry
from selcn.errors import DataError
from selcn.labels import HAM10000, parse_label_set

Picture = Callable[..., Path]

TABLE = """\
case_num,diagnosis,seven_point_score,pigment_network,streaks,location,sex,clinic,derm,case_id,notes
1,basal cell carcinoma,0,absent,absent,abdomen,female,NEL/NEL025.JPG,NEL/Nel026.jpg,,
2,melanoma (less than 0.76 mm),4,atypical,irregular,back,male,FAL/Fal001.jpg,FAL/Fal002.jpg,1a1,
3,clark nevus,1,typical,regular,back,male,NDL/Ndl017.jpg,NDL/Ndl018.jpg,1d171819,
4,miscellaneous,0,absent,absent,acral,female,NDL/Ndl020.jpg,NDL/Ndl021.jpg,,Clinical missing and replaced with derm
"""


def index(folder: Path, picture: Picture, table: str = TABLE) -> Indexed:
    """The published tree; of the fourth case the photograph is not there."""
    for name in ("NEL/NEL025.JPG", "nel/nel026.JPG", "FAL/Fal001.jpg", "FAL/Fal002.jpg", "NDL/Ndl017.jpg"):
        picture(folder / "release_v0" / "images" / name)
    for name in ("NDL/Ndl018.jpg", "NDL/Ndl021.jpg"):
        picture(folder / "release_v0" / "images" / name)
    meta = folder / "release_v0" / "meta"
    meta.mkdir()
    (meta / "meta.csv").write_text(table)
    (meta / "train_indexes.csv").write_text("indexes\n0\n2\n")
    (meta / "test_indexes.csv").write_text("indexes\n1\n")
    return index_derm7pt([folder])


def test_a_case_is_a_lesion_seen_by_dermoscopy_and_its_criteria_are_columns(tmp_path: Path, picture: Picture) -> None:
    table = index(tmp_path, picture).table
    assert table["image_id"].tolist() == ["Nel026", "Fal002", "Ndl018", "Ndl021"]
    assert [Path(name).name for name in table["image_path"]] == ["nel026.JPG", "Fal002.jpg", "Ndl018.jpg", "Ndl021.jpg"]
    assert [Path(name).name for name in table["clinical_path"]] == ["NEL025.JPG", "Fal001.jpg", "Ndl017.jpg", ""]
    assert table["lesion_id"].tolist() == [f"derm7pt-{number}" for number in (1, 2, 3, 4)]
    assert table["source"].tolist() == ["derm7pt-train", "derm7pt-test", "derm7pt-train", "derm7pt"]
    assert table["diagnosis"].tolist() == ["bcc", "melanoma-thin", "atypical-nevus", "miscellaneous"]
    assert HAM10000.numbers(table["diagnosis"]) == [3, 1, 0, -1]
    streaks = parse_label_set({"classes": ["absent", "regular", "irregular"], "column": "streaks"})
    assert streaks.numbers(table[streaks.column]) == [0, 2, 1, 0]
    assert table["site"].tolist() == ["abdomen", "back", "back", "acral"]


def test_symmetry_labels_of_edra_find_their_images(tmp_path: Path, picture: Picture) -> None:
    labels = tmp_path / "symderm.csv"
    labels.write_text("File,Mask,Dataset,labels_symmetry\nNdl018.jpg,,edra,2\nFal002.jpg,,edra,0\nFgl090.jpg,,edra,1\n")
    joined = join_symmetry(index(tmp_path, picture).table, [labels])
    assert joined.table["symmetry"].tolist() == ["", "asymmetric", "two-axes", ""]
    assert joined.notes == {"labels of edra without an image": 1}


def test_images_that_are_not_there_are_named_and_a_table_is_needed(tmp_path: Path, picture: Picture) -> None:
    more = TABLE + "5,lentigo,0,absent,absent,back,male,GAL/Gal1.jpg,GAL/Gal2.jpg,,\n"
    with pytest.raises(DataError, match=r"meta\.csv: GAL/Gal2\.jpg of line 6: no such image"):
        index(tmp_path, picture, more)
    with pytest.raises(DataError, match=r"0 tables meta\.csv found"):
        index_derm7pt([tmp_path / "release_v0" / "images"])
