from collections.abc import Callable
from pathlib import Path

import pytest

from selcn.data.sources import Indexed, index_milk10k
from selcn.data.sources.milk10k import CLASSES
from selcn.errors import DataError
from selcn.labels import LABEL_SETS, LabelSet, find_concept

Picture = Callable[..., Path]

METADATA = "lesion_id,image_type,isic_id,attribution,age_approx,sex,skin_tone_class,site,MONET_hair\n"
SUPPLEMENT = "isic_id,diagnosis_full,diagnosis_confirm_type\n"


def truth(*classes: str) -> str:
    rows = (
        ",".join([f"IL_{number}", *("1.0" if name == one else "0.0" for one in CLASSES)])
        for number, name in enumerate(classes)
    )
    return "\n".join([f"lesion_id,{','.join(CLASSES)}", *rows, ""])


def tree(folder: Path, picture: Picture, *classes: str, supplement: str = "", table: str = "") -> Indexed:
    """Lesions with a close-up, ISIC_100000n, and a dermoscopic image, ISIC_200000n."""
    metadata = METADATA
    for number, _ in enumerate(classes):
        for kind, name in (("clinical: close-up", f"ISIC_100000{number}"), ("dermoscopic", f"ISIC_200000{number}")):
            picture(folder / "MILK10k_Training_Input" / f"IL_{number}" / f"{name}.jpg")
            metadata += f"IL_{number},{kind},{name},MUV,60,male,3,trunk,0.1\n"
    metadata += "IL_99,dermoscopic,ISIC_2000099,MUV,60,male,3,trunk,0.1\n"
    (folder / "MILK10k_Training_Metadata.csv").write_text(metadata)
    (folder / "MILK10k_Training_GroundTruth.csv").write_text(table or truth(*classes))
    (folder / "MILK10k_Training_Supplement.csv").write_text(SUPPLEMENT + supplement)
    return index_milk10k([folder])


def test_the_dermoscopic_image_of_each_lesion_has_the_lesion_s_diagnosis(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(tmp_path, picture, *CLASSES[:10])
    table = indexed.table
    assert table["image_id"].tolist() == [f"ISIC_200000{number}" for number in range(10)]
    assert table["clinical_path"].map(lambda name: Path(name).stem).tolist() == [f"ISIC_100000{n}" for n in range(10)]
    assert table["lesion_id"].tolist() == [f"IL_{number}" for number in range(10)]
    assert LabelSet.of(map(str.lower, CLASSES)).numbers(table["diagnosis"]) == list(range(10))
    assert [LABEL_SETS["isic2019"].class_of(one) for one in table["diagnosis"]] == (
        ["ak", "bcc", "", "bkl", "df", "", "", "mel", "nv", "scc"]
    )
    assert table[["age", "sex", "site", "skin_tone_class"]].iloc[0].tolist() == ["60", "male", "trunk", "3"]
    assert indexed.notes == {"rows without their dermoscopic image": 1}


def test_the_supplement_counts_where_it_is_a_kind_of_the_ground_truth(tmp_path: Path, picture: Picture) -> None:
    supplement = (
        'ISIC_2000000,"Squamous cell carcinoma in situ, Bowens disease",histopathology\n'
        "ISIC_2000001,Melanoma metastasis,histopathology\nISIC_2000002,Sebaceous hyperplasia,histopathology\n"
    )
    table = tree(tmp_path, picture, "AKIEC", "MEL", "BEN_OTH", "SCCKA", supplement=supplement).table
    assert table["diagnosis"].tolist() == ["bowen-disease", "mel", "other-benign", "scc"]


def test_every_class_of_the_ground_truth_is_a_concept() -> None:
    assert all(map(find_concept, CLASSES))


def test_faulty_trees_are_refused(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(DataError, match=r"line 2 \(IL_0\) is not one-hot"):
        tree(tmp_path, picture, "MEL", table=truth("MEL").replace("0.0", "1.0"))
    with pytest.raises(DataError, match="line 3: IL_0 stands twice"):
        tree(tmp_path, picture, "MEL", table=truth("MEL") + truth("NV").splitlines()[1])
    (tmp_path / "MILK10k_Training_GroundTruth.csv").unlink()
    with pytest.raises(DataError, match="holds none of the dermoscopic images"):
        index_milk10k([tmp_path / "MILK10k_Training_Metadata.csv"])
    with pytest.raises(DataError, match="no table with lesion_id, isic_id and image_type"):
        index_milk10k([tmp_path / "MILK10k_Training_Input"])
