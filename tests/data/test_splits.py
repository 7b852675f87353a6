import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.data.catalog import complete_catalog
from selcn.data.splits import count_table, grouped_split, read_split, write_split
from selcn.errors import DataError
from selcn.evaluation.predictions import TEST


def catalog(lesions: int = 60, photographs: int = 2, classes: tuple[str, ...] = ("nv", "mel", "df")) -> pd.DataFrame:
    rows = [
        {
            "image_id": f"{lesion}-{shot}",
            "image_path": "x.png",
            "lesion_id": str(lesion),
            "diagnosis": classes[lesion % len(classes)],
            "symmetry": ("asymmetric", "one-axis")[lesion // len(classes) % 2],
        }
        for lesion in range(lesions)
        for shot in range(1 + lesion % photographs)
    ]
    return complete_catalog(pd.DataFrame(rows), "catalog")


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 5), st.sampled_from([0.0, 0.1, 0.2, 0.4]), st.integers(1, 4))
def test_no_lesion_is_divided_and_every_image_has_one_part(
    seed: int, folds: int, test: float, photographs: int
) -> None:
    table = catalog(photographs=photographs)
    split = grouped_split(table, folds=folds, test=test, seed=seed)
    parts = table["image_id"].map(split.part)
    assert parts.groupby(table["lesion_id"]).nunique().max() == 1
    assert sorted(set(parts)) == sorted(split.parts)
    rows = np.concatenate([split.rows(table, part) for part in split.parts])
    assert sorted(rows) == list(range(len(table)))


def test_parts_are_stratified_to_within_a_lesion() -> None:
    table = catalog(lesions=300, photographs=1)
    counts = count_table(grouped_split(table, folds=4, test=0.2, seed=1), table)
    assert counts["images"].to_dict() == {"0": 60, "1": 60, "2": 60, "3": 60, TEST: 60}
    assert (counts[["nv", "mel", "df"]] == 20).all(axis=None)
    assert (counts[["asymmetric", "one-axis"]] == 30).all(axis=None)


def test_the_same_seed_gives_the_same_split_whatever_the_row_order() -> None:
    table = catalog()
    first = grouped_split(table, seed=3)
    assert grouped_split(table.sample(frac=1, random_state=0).reset_index(drop=True), seed=3).part == first.part
    assert grouped_split(table, seed=4).part != first.part


def test_a_split_reads_back(tmp_path: Path) -> None:
    table = catalog()
    split = grouped_split(table, folds=2)
    write_split(split, table, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json", table) == split


def test_too_rare_a_class_names_itself_and_the_remedy() -> None:
    table = catalog(lesions=30)
    table.loc[table["diagnosis"] == "df", "diagnosis"] = ""
    table.loc[0, "diagnosis"] = "df"
    with pytest.raises(DataError, match="diagnosis df has 1 groups, too few for 4 parts"):
        grouped_split(table, folds=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tree: tree["images"]["1-0"].update(part=TEST if tree["images"]["1-1"]["part"] != TEST else "0"),
            "lesion:1 is divided",
        ),
        (lambda tree: tree["images"].pop("0-0"), "image 0-0 has no part"),
        (lambda tree: tree["images"]["0-0"].update(part="9"), "image 0-0 has no part"),
        (lambda tree: tree.update(catalog="0"), "was made from another catalog"),
        (lambda tree: tree.pop("folds"), "not a split file"),
        (lambda tree: [row.update(part="0") for row in tree["images"].values() if row["part"] == "1"], "holds no"),
    ],
)
def test_a_wrong_split_is_refused_with_its_cause(tmp_path: Path, change: object, message: str) -> None:
    table = catalog()
    path = tmp_path / "split.json"
    write_split(grouped_split(table), table, path)
    tree = json.loads(path.read_text())
    change(tree)  # type: ignore[operator]
    path.write_text(json.dumps(tree))
    with pytest.raises(DataError, match=message):
        read_split(path, table)


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 4))
def test_a_class_with_as_many_lesions_as_parts_is_in_every_part(seed: int, folds: int) -> None:
    table = catalog(lesions=90, photographs=3)
    rare = table["lesion_id"].isin([str(lesion) for lesion in range(folds + 1)])
    table.loc[rare, "diagnosis"] = "vasc"
    table.loc[~rare & (table["diagnosis"] == "vasc"), "diagnosis"] = "nv"
    counts = count_table(grouped_split(table, folds=folds, test=0.1, seed=seed), table)
    assert (counts["vasc"] > 0).all()
