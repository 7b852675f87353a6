from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selcn.data.sources import index_ph2
from selcn.data.sources.ph2 import read_ph2_labels
from selcn.errors import DataError
from selcn.labels import SYMMETRY

Picture = Callable[..., Path]
CASE = st.integers(2, 440).map(lambda number: f"IMD{number:03d}")
DIGIT = st.sampled_from("012")
LEGEND = """
Legends for the Clinical Diagnosis:
0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma.
Legends for the Asymmetry:
0 - Fully Symmetric; 1 - Symmetric in One Axe; 2 - Fully Asymmetric;
"""


def published(rows: list[tuple[str, str, str]]) -> str:
    head = (
        "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | Dots/Globules | "
        "Streaks | Regression Areas | Blue-Whitish Veil ||           Colors ||"
    )
    lines = [
        f"|| {case} ||                        ||                  {diagnosis} ||         {asymmetry} |"
        "               T |             A |       A |                A |                 A ||                4 ||"
        for case, diagnosis, asymmetry in rows
    ]
    return "\n".join([head, *lines, LEGEND])


def tabbed(rows: list[tuple[str, str, str]]) -> str:
    lines = ["\t".join(row) + "\t" for row in rows]
    legend = [
        "\t\t\t",
        "gends f\t\t\t",
        "0 - Co\t\t\t",
        'gends f\t"ules, Streaks, Regr"\t"ion Areas,"\t',
        "A  - A\t\t\t",
    ]
    return "\r\n".join(["Name\tClinical Diagnosis\tAsymmetry\t", *lines, *legend])


@pytest.mark.parametrize("write", [published, tabbed])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CASE, DIGIT, DIGIT), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_both_forms_of_the_label_table_read_alike_and_the_legend_is_left_out(
    tmp_path: Path, write: Callable[[list[tuple[str, str, str]]], str], rows: list[tuple[str, str, str]]
) -> None:
    (tmp_path / "PH2_dataset.txt").write_bytes(write(rows).encode())
    table = read_ph2_labels(tmp_path / "PH2_dataset.txt")
    names = ["common nevus", "atypical nevus", "melanoma"]
    assert [tuple(row) for row in table.to_numpy()] == [
        (case, names[int(diagnosis)], SYMMETRY.names[2 - int(asymmetry)]) for case, diagnosis, asymmetry in rows
    ]


def test_the_published_tree_and_a_flat_one_give_the_same_catalog(tmp_path: Path, picture: Picture) -> None:
    rows = [("IMD002", "0", "0"), ("IMD003", "2", "2")]
    tree, flat = tmp_path / "PH2Dataset", tmp_path / "flat"
    for case, *_ in rows:
        base = tree / "PH2 Dataset images" / case
        picture(base / f"{case}_Dermoscopic_Image" / f"{case}.bmp")
        picture(base / f"{case}_lesion" / f"{case}_lesion.bmp", 255)
        picture(base / f"{case}_roi" / f"{case}_R1_Label4.bmp", 255)
        picture(flat / "images" / f"{case}.jpg")
        picture(flat / "masks" / f"{case}_lesion.png")
    (tree / "PH2_dataset.txt").write_text(published(rows))
    (flat / "PH2_dataset.txt").write_text(tabbed(rows))
    for folder in (tree, flat):
        indexed = index_ph2([folder])
        table = indexed.table
        assert table["image_id"].tolist() == ["IMD002", "IMD003"]
        assert table["diagnosis"].tolist() == ["common-nevus", "mel"]
        assert table["published_diagnosis"].tolist() == ["common nevus", "melanoma"]
        assert table["symmetry"].tolist() == ["two-axes", "asymmetric"], "PH2 counts asymmetry"
        assert all(
            Path(mask).stem == f"{name}_lesion"
            for name, mask in zip(table["image_id"], table["mask_path"], strict=True)
        )
        assert indexed.notes == ({"by-products such as superpixels not used": 2} if folder == tree else {})


def test_wrong_labels_missing_tables_and_images_are_named(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "IMD002.bmp")
    with pytest.raises(DataError, match="0 label tables found"):
        index_ph2([tmp_path])
    (tmp_path / "PH2_dataset.txt").write_text(
        published([("IMD002", "0", "3"), ("IMD003", "x", "0"), ("IMD004", "1", "1")])
    )
    with pytest.raises(DataError, match=r"line 2: IMD002 has .* asymmetry '3' \| line 3: IMD003 has diagnosis 'x'"):
        index_ph2([tmp_path])
    (tmp_path / "PH2_dataset.txt").write_text(tabbed([("IMD002", "0", "0"), ("IMD009", "0", "0")]))
    with pytest.raises(DataError, match="1 images are not there, the first IMD009"):
        index_ph2([tmp_path])
    (tmp_path / "PH2_dataset.txt").write_text("Name\tClinical Diagnosis\tAsymmetry\n")
    with pytest.raises(DataError, match="holds no rows of cases"):
        index_ph2([tmp_path])
