from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.data.catalog import catalog_hash, complete_catalog, draw_lesions, groups, read_catalog, write_catalog
from selcn.errors import DataError


def table(*rows: dict[str, str]) -> pd.DataFrame:
    return complete_catalog(pd.DataFrame([{"image_path": "a.png", **row} for row in rows]), "catalog")


def test_a_catalog_reads_back_with_paths_joined_to_its_folder(tmp_path: Path) -> None:
    written = table(
        {"image_id": "1", "image_path": str(tmp_path / "images" / "1.png"), "diagnosis": "mel", "note": "x"}
    )
    write_catalog(written, tmp_path / "catalog.csv")
    assert "images/1.png" in (tmp_path / "catalog.csv").read_text()
    read = read_catalog(tmp_path / "catalog.csv")
    assert read.to_dict("records") == written.to_dict("records")


def test_spreadsheet_marks_and_numeric_ids_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes("\ufeffimage_id,image_path\r\n007,a b/ü.png\r\n".encode())
    read = read_catalog(tmp_path / "c.csv")
    assert read["image_id"].tolist() == ["007"]
    assert read["image_path"].tolist() == [str(tmp_path / "a b" / "ü.png")]


def test_a_group_is_the_patient_else_the_lesion_else_the_image() -> None:
    rows = table(
        {"image_id": "1", "lesion_id": "L", "patient_id": "P"},
        {"image_id": "2", "lesion_id": "L2", "patient_id": "P"},
        {"image_id": "3", "lesion_id": "P"},
        {"image_id": "P"},
    )
    assert groups(rows).tolist() == ["patient:P", "patient:P", "lesion:P", "image:P"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"image_id": "1", "symmetry": "0"}], "line 2: unknown symmetry '0'; use one of asymmetric"),
        ([{"image_id": "1"}, {"image_id": "1"}], "line 3: image_id '1' stands twice"),
        ([{"image_id": ""}], "line 2: image_id is empty"),
        ([{"image_id": "1", "image_path": ""}], "line 2: image_path is empty"),
        ([{"image_id": "1", "symmetry": "x"}, {"image_id": "1"}], r"line 2: .* \| line 3: "),
        ([{"image_id": str(n), "symmetry": "x"} for n in range(9)], "and 4 more"),
    ],
)
def test_every_bad_row_is_named_in_one_line(rows: list[dict[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        table(*rows)
    assert "\n" not in str(caught.value)


def test_missing_columns_files_and_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column image_path is missing"):
        complete_catalog(pd.DataFrame({"image_id": ["1"]}), "c.csv")
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        read_catalog(tmp_path / "absent.csv")
    (tmp_path / "empty.csv").write_text("image_id,image_path\n")
    with pytest.raises(DataError, match="holds no images"):
        read_catalog(tmp_path / "empty.csv")


@given(
    st.lists(st.tuples(st.sampled_from(["nv", "mel"]), st.sampled_from(["", "L1"])), min_size=2, max_size=6),
    st.randoms(),
)
def test_the_hash_ignores_row_order_and_paths_but_no_label(rows: list[tuple[str, str]], random: object) -> None:
    catalog = table(*({"image_id": str(n), "diagnosis": d, "lesion_id": g} for n, (d, g) in enumerate(rows)))
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = catalog.iloc[order].assign(image_path="elsewhere.png")
    assert catalog_hash(moved) == catalog_hash(catalog)
    changed = catalog.copy()
    changed.loc[0, "diagnosis"] = "bcc"
    assert catalog_hash(changed) != catalog_hash(catalog)


def test_every_path_column_travels_with_its_folder(tmp_path: Path) -> None:
    written = table({"image_id": "1", "image_path": str(tmp_path / "1.png"), "map_path": str(tmp_path / "m" / "1.png")})
    write_catalog(written, tmp_path / "catalog.csv")
    tmp_path.joinpath("catalog.csv").rename(tmp_path.parent / "moved.csv")
    assert read_catalog(tmp_path.parent / "moved.csv")["map_path"].tolist() == [str(tmp_path.parent / "m" / "1.png")]


@given(st.lists(st.tuples(*[st.sampled_from(["", "a", "b", "c", "d"])] * 2), min_size=1, max_size=12))
def test_images_that_share_a_patient_or_lesion_through_others_are_one_group(ids: list[tuple[str, str]]) -> None:
    rows = table(*({"image_id": f"i{n}", "patient_id": p, "lesion_id": q} for n, (p, q) in enumerate(ids)))
    names = groups(rows).tolist()
    # An independent oracle: relabel until nothing changes.
    label = list(range(len(ids)))
    pairs = [(one, other) for one in range(len(ids)) for other in range(one)]
    for _ in ids:
        for one, other in pairs:
            if any(x and x == y for x, y in zip(ids[one], ids[other], strict=True)):
                label[one] = label[other] = min(label[one], label[other])
    for one, other in pairs:
        assert (names[one] == names[other]) == (label[one] == label[other])


def test_unknown_ids_join_nothing_and_whole_numbers_stay_whole() -> None:
    rows = table({"image_id": "1.0", "lesion_id": "NaN"}, {"image_id": "2.0", "lesion_id": "nan", "age": "NaN"})
    assert rows["image_id"].tolist() == ["1", "2"]
    assert groups(rows).tolist() == ["image:1", "image:2"]
    assert rows["age"].tolist() == ["", "NaN"], "a column of the user's own stays as it is"


def test_pairs_that_belong_together_join_whole_groups() -> None:
    rows = table({"image_id": "1", "lesion_id": "A"}, {"image_id": "2", "lesion_id": "A"}, {"image_id": "3"})
    assert groups(rows, [("3", "1")]).tolist() == ["lesion:A"] * 3
    assert groups(rows.assign(lesion_id=""), [("3", "1")]).tolist() == ["image:1", "image:2", "image:1"]


def test_faults_name_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("image_id,image_path,symmetry\n\n1,1.png,symmetric\n\n2,2.png,round\n")
    with pytest.raises(DataError, match="line 5: unknown symmetry 'round'"):
        read_catalog(tmp_path / "c.csv")


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
