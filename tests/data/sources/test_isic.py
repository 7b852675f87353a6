from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selcn.data.catalog import write_catalog
from selcn.data.sources import Indexed, index_isic
from selcn.errors import DataError
from selcn.labels import HAM10000, LABEL_SETS

Picture = Callable[..., Path]


def tree(folder: Path, picture: Picture, images: list[str], **tables: str) -> Indexed:
    for image in images:
        picture(folder / image)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return index_isic([folder])


def test_2016_has_masks_and_a_table_without_header(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(
        tmp_path,
        picture,
        [
            "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg",
            "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.jpg",
            "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png",
        ],
        ISBI2016_ISIC_Part3_Training_GroundTruth="ISIC_0000000,benign\nISIC_0000001,malignant\n",
        ISBI2016_ISIC_Part3_Test_GroundTruth="ISIC_0000003,0.0\nISIC_0000004,1.0\n",
    )
    assert indexed.table["diagnosis"].tolist() == ["benign", "malignant"]
    assert HAM10000.numbers(indexed.table["diagnosis"]) == [-1, -1], "neither is a class of the seven"
    assert LABEL_SETS["benign-malignant"].numbers(indexed.table["diagnosis"]) == [0, 1]
    assert indexed.table["source"].tolist() == ["isic-2016"] * 2
    assert [bool(mask) for mask in indexed.table["mask_path"]] == [True, False]
    assert indexed.notes == {"labels without an image": 2}


def test_2017_has_two_columns_of_which_neither_is_a_nevus(tmp_path: Path, picture: Picture) -> None:
    names = [
        f"ISIC-2017_Training_Data/ISIC_000000{n}{ending}" for n in range(3) for ending in (".jpg", "_superpixels.png")
    ]
    indexed = tree(
        tmp_path,
        picture,
        [*names, "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000002_segmentation.png"],
        truth="image_id,melanoma,seborrheic_keratosis\nISIC_0000000,0.0,0.0\nISIC_0000001,1.0,0.0\nISIC_0000002,0.0,1.0\n",
        metadata="image_id,age_approximate,sex\nISIC_0000000,55,female\nISIC_0000001,unknown,male\n",
    )
    assert indexed.table["diagnosis"].tolist() == ["nv", "mel", "seborrheic-keratosis"]
    assert indexed.table["age"].tolist() == ["55", "unknown", ""]
    assert indexed.table["sex"].tolist() == ["female", "male", ""]
    assert indexed.table["mask_path"].map(bool).tolist() == [False, False, True]
    assert set(indexed.table["source"]) == {"isic-2017"}


def test_2018_joins_lesions_and_leaves_attribute_masks_alone(tmp_path: Path, picture: Picture) -> None:
    head = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
    rows = "".join(f"ISIC_002430{n}," + ",".join("1.0" if n == k else "0.0" for k in range(7)) + "\n" for n in range(7))
    indexed = tree(
        tmp_path,
        picture,
        [*(f"Task3_Input/ISIC_002430{n}.jpg" for n in range(7)), "Task2/ISIC_0024300_attribute_globules.png"],
        truth=head + rows,
        ISIC2018_Task3_Training_LesionGroupings=(
            "image,lesion_id,diagnosis_confirm_type\nISIC_0024300,HAM_1,histopathology\nISIC_0024301,HAM_1,histopathology\n"
        ),
    )
    assert indexed.table["diagnosis"].tolist() == ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
    assert indexed.table["lesion_id"].tolist() == ["HAM_1", "HAM_1", *[""] * 5]
    assert set(indexed.table["source"]) == {"isic-2018"}


def test_2018_task_1_alone_has_masks_and_no_diagnosis(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(tmp_path, picture, ["in/ISIC_0000000.jpg", "truth/ISIC_0000000_segmentation.png"])
    assert indexed.table["diagnosis"].tolist() == [""]
    assert indexed.table["mask_path"].map(bool).tolist() == [True]


def test_2019_keeps_unk_aside_and_names_its_smaller_copies(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(
        tmp_path,
        picture,
        ["ISIC_0000002_downsampled.jpg", "ISIC_0000003.jpg", "ISIC_0000004.jpg", "ISIC_0000005.jpg"],
        truth=(
            "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
            "ISIC_0000002_downsampled,0,0,0,1,0,0,0,0,0\nISIC_0000003,0,0,0,0,0,0,0,1,0\nISIC_0000004,0,0,0,0,0,0,0,0,1\n"
        ),
        metadata=(
            "image,age_approx,anatom_site_general,lesion_id,sex\n"
            "ISIC_0000002_downsampled,55.0,anterior torso,,female\nISIC_0000003,,,BCN_7,male\n"
        ),
    )
    assert indexed.table["image_id"].tolist() == [f"ISIC_000000{n}" for n in (2, 3, 4, 5)]
    assert indexed.table["image_path"][0].endswith("ISIC_0000002_downsampled.jpg")
    diagnoses = indexed.table["diagnosis"]
    assert diagnoses.tolist() == ["actinic-keratosis", "scc", "unknown", ""]
    assert [LABEL_SETS["isic2019"].class_of(one) for one in diagnoses] == ["ak", "scc", "", ""]
    assert [HAM10000.class_of(one) for one in diagnoses] == ["akiec", "", "", ""]
    assert indexed.diagnoses()[0] == ("UNK", "", 1)
    assert indexed.table["lesion_id"].tolist() == ["", "BCN_7", "", ""]
    assert indexed.table["site"].tolist() == ["anterior torso", "", "", ""]


def test_an_archive_export_uses_the_most_specific_diagnosis_that_maps(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(
        tmp_path,
        picture,
        [f"ISIC_000000{n}.jpg" for n in range(1, 6)],
        metadata=(
            "isic_id,attribution,age_approx,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4,lesion_id,patient_id,sex\n"
            "ISIC_0000001,A,60,Benign,Benign melanocytic proliferations,Nevus,"
            '"Nevus, Atypical, Dysplastic, or Clark",IL_1,IP_1,male\n'
            'ISIC_0000002,A,,Malignant,Malignant epidermal proliferations,"Squamous cell carcinoma, NOS",,IL_2,IP_1,\n'
            "ISIC_0000003,A,,Benign,,,,IL_3,,\n"
            "ISIC_0000004,A,,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma in situ,"
            "Something new,IL_4,,\n"
        ),
    )
    assert indexed.table["diagnosis"].tolist() == ["atypical-nevus", "scc", "benign", "melanoma-in-situ", ""]
    assert indexed.table["patient_id"].tolist() == ["IP_1", "IP_1", "", "", ""]
    assert indexed.table["age"].tolist() == ["60", "", "", "", ""]
    assert set(indexed.table["source"]) == {"isic-archive"}


def test_an_older_export_has_one_column_of_diagnoses(tmp_path: Path, picture: Picture) -> None:
    indexed = tree(
        tmp_path,
        picture,
        ["ISIC_0000001.jpg", "ISIC_0000002.jpg"],
        metadata="isic_id,diagnosis,lesion_id\nISIC_0000001,actinic keratosis,IL_1\nISIC_0000002,lentigo NOS,IL_2\n",
    )
    assert indexed.table["diagnosis"].tolist() == ["actinic-keratosis", "lentigo"]


def test_2020_and_2024_say_of_most_images_only_whether_they_are_malignant(tmp_path: Path, picture: Picture) -> None:
    later = "isic_id,target,patient_id,iddx_full,iddx_1,iddx_2,iddx_3,iddx_4,iddx_5\n"
    indexed = tree(
        tmp_path,
        picture,
        [f"ISIC_000000{n}.jpg" for n in range(1, 6)],
        older=(
            "image_name,patient_id,sex,diagnosis,benign_malignant,target\n"
            "ISIC_0000001,IP_1,male,unknown,benign,0\nISIC_0000002,IP_2,,melanoma,malignant,1\n"
        ),
        later=(
            f"{later}ISIC_0000003,0,IP_3,Benign,Benign,,,,\n"
            "ISIC_0000004,1,IP_3,Malignant::Melanoma in situ,Malignant,Malignant melanocytic proliferations (Melanoma),"
            "Melanoma in situ,,\nISIC_0000005,1,IP_4,,,,,,\n"
        ),
    )
    assert indexed.table["diagnosis"].tolist() == ["benign", "mel", "benign", "melanoma-in-situ", "malignant"]
    assert LABEL_SETS["benign-malignant"].numbers(indexed.table["diagnosis"]) == [0, 1, 0, 1, 1]
    assert indexed.table["patient_id"].tolist() == ["IP_1", "IP_2", "IP_3", "IP_3", "IP_4"]


def test_2024_of_isic_has_the_truth_the_diagnosis_and_the_patient_in_three_tables(
    tmp_path: Path, picture: Picture
) -> None:
    indexed = tree(
        tmp_path,
        picture,
        [f"ISIC_2024_Training_Input/ISIC_001567{n}.jpg" for n in range(4)],
        ISIC_2024_Training_GroundTruth=(
            "isic_id,malignant\nISIC_0015670,0.0\nISIC_0015671,1.0\nISIC_0015672,0.0\nISIC_0015673,0.0\n"
        ),
        ISIC_2024_Training_Supplement=(
            "isic_id,lesion_id,iddx_full,iddx_1,iddx_2,iddx_3,iddx_4,iddx_5\n"
            "ISIC_0015670,,Benign,Benign,,,,\n"
            "ISIC_0015671,IL_7,Malignant::Melanoma in situ,Malignant,Malignant melanocytic proliferations (Melanoma),"
            "Melanoma in situ,,\n"
            "ISIC_0015672,IL_8,Indeterminate::x,Indeterminate,Indeterminate melanocytic proliferations,"
            '"Atypical intraepithelial melanocytic proliferation",,\n'
            "ISIC_0015673,IL_9,Benign::Nevus,Benign,Benign melanocytic proliferations,Nevus,,\n"
        ),
        metadata="isic_id,patient_id,age_approx,sex\n"
        + "".join(f"ISIC_001567{n},IP_{n // 2},60,male\n" for n in range(4)),
    )
    # What is indeterminate is benign here, as the challenge counts it.
    assert indexed.table["diagnosis"].tolist() == ["benign", "melanoma-in-situ", "benign", "nv"]
    assert indexed.table["patient_id"].tolist() == ["IP_0", "IP_0", "IP_1", "IP_1"]
    assert indexed.table["lesion_id"].tolist() == ["", "IL_7", "IL_8", "IL_9"]
    assert set(indexed.table["source"]) == {"isic-2024"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image,MEL,NV,BCC\nISIC_0000001,1,1,0\nISIC_0000002,0,0,0\n",
            r"line 2 \(ISIC_0000001\) \| line 3 .* is not one-hot",
        ),
        ("image,MEL,NV,BCC\nISIC_0000001,x,1,0\n", "line 2 .* is not one-hot"),
        ("image_id,melanoma,seborrheic_keratosis\nISIC_0000001,1,1\n", "line 2 .* is not one-hot"),
        ("ISIC_0000001,benign\nISIC_0000002,maybe\n", "line 2 .* is neither benign nor malignant"),
        (
            "isic_id,diagnosis\nx,nevus\nISIC_0000001,nevus\nISIC_0000001,nevus\n",
            "line 2: 'x' is no ISIC image | line 4: .* stands twice",
        ),
    ],
)
def test_wrong_tables_name_every_wrong_row(tmp_path: Path, picture: Picture, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tree(tmp_path, picture, ["ISIC_0000001.jpg"], truth=text)


def test_tables_that_contradict_each_other_are_refused(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(DataError, match="ISIC_0000001 has diagnosis nevus, but melanoma elsewhere"):
        tree(
            tmp_path,
            picture,
            ["ISIC_0000001.jpg"],
            a="isic_id,diagnosis\nISIC_0000001,melanoma\n",
            b="isic_id,diagnosis\nISIC_0000001,nevus\n",
        )


def test_a_catalog_written_into_the_folder_is_no_table_of_it(tmp_path: Path, picture: Picture) -> None:
    first = tree(tmp_path, picture, ["ISIC_0000001.jpg"], truth="isic_id,diagnosis\nISIC_0000001,nevus\n")
    write_catalog(first.table, tmp_path / "catalog.csv")
    assert index_isic([tmp_path]).table.equals(first.table)


def test_tables_may_be_given_beside_folders_and_copied_folders_count_once(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "Part1" / "ISIC_0000001.jpg")
    picture(tmp_path / "Part3" / "ISIC_0000001.jpg")
    (tmp_path / "t.csv").write_text("ISIC_0000001,malignant\n")
    table = index_isic([tmp_path / "Part1", tmp_path / "Part3", tmp_path / "t.csv"]).table
    assert table["diagnosis"].tolist() == ["malignant"]


def test_a_smaller_copy_beside_its_original_is_refused(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "ISIC_0000002.jpg", 7)
    with pytest.raises(DataError, match=r"ISIC_0000002\.jpg and .*ISIC_0000002_downsampled\.jpg have one name"):
        tree(tmp_path, picture, ["ISIC_0000002_downsampled.jpg"])


def test_a_folder_without_isic_images_is_refused(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(DataError, match="holds no images named ISIC_0000000"):
        tree(tmp_path, picture, ["a.jpg"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=9),
    st.permutations(["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]),
)
def test_one_hot_columns_may_stand_in_any_order(
    tmp_path: Path, picture: Picture, classes: list[int], order: list[str]
) -> None:
    rows = [
        ",".join([f"ISIC_000000{n}", *("1.0" if c == k else "0.0" for k in range(7))]) for n, c in enumerate(classes)
    ]
    for n in range(9):
        picture(tmp_path / f"ISIC_000000{n}.jpg")
    (tmp_path / "t.csv").write_text("\n".join([",".join(["image", *order]), *rows]))
    table = index_isic([tmp_path]).table.iloc[: len(classes)]
    assert table["diagnosis"].tolist() == [order[c].lower() for c in classes]
