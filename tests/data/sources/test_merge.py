from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from selcn.data.catalog import complete_catalog
from selcn.data.sources.merge import merge_catalogs
from selcn.errors import DataError


def picture(path: Path, seed: int, side: int = 60) -> str:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (side, side)))
    return str(path)


def catalog(*rows: dict[str, str]) -> pd.DataFrame:
    return complete_catalog(pd.DataFrame(rows), "catalog")


def test_an_image_of_several_catalogs_is_one_row_with_what_each_knows(tmp_path: Path) -> None:
    large, small = picture(tmp_path / "a.png", 1), picture(tmp_path / "a.jpg", 1, side=30)
    ours = catalog({"image_id": "a", "image_path": large, "lesion_id": "L", "symmetry": "symmetric"})
    theirs = catalog(
        {
            "image_id": "a",
            "image_path": small,
            "mask_path": "m.png",
            "diagnosis": "mel",
            "symmetry": "one-axis",
            "age": "4",
        },
        {"image_id": "b", "image_path": picture(tmp_path / "b.png", 2)},
    )
    merged = merge_catalogs([("ours", ours), ("theirs", theirs)])
    assert merged.table["image_id"].tolist() == ["a", "b"]
    row = merged.table.iloc[0]
    assert (row["image_path"], row["mask_path"], row["lesion_id"]) == (large, "m.png", "L")
    assert (row["diagnosis"], row["symmetry"], row["age"]) == ("mel", "one-axis", "4")
    assert merged.notes == {"rows joined by image_id": 1}


def test_the_same_file_under_two_names_is_one_row_but_not_within_one_catalog(tmp_path: Path) -> None:
    path, copy = picture(tmp_path / "a.png", 1), picture(tmp_path / "copy.png", 1)
    ours = catalog({"image_id": "a", "image_path": path}, {"image_id": "again", "image_path": copy})
    theirs = catalog({"image_id": "x", "image_path": copy, "diagnosis": "nv"})
    merged = merge_catalogs([("ours", ours), ("theirs", theirs)])
    assert merged.table["image_id"].tolist() == ["a", "again"]
    assert merged.table["diagnosis"].tolist() == ["nv", ""]
    assert merged.notes == {"image_ids joined by content": 1}


def test_every_contradiction_is_named_with_both_catalogs(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    one = {"image_id": "a", "image_path": path, "diagnosis": "mel", "lesion_id": "L1", "symmetry": "asymmetric"}
    other = {"image_id": "a", "image_path": path, "diagnosis": "nv", "lesion_id": "L1", "symmetry": "symmetric"}
    with pytest.raises(DataError) as caught:
        merge_catalogs([("one.csv", catalog(one)), ("other.csv", catalog(other))])
    assert "a has diagnosis mel (one.csv) and nv (other.csv)" in str(caught.value)
    assert "a has symmetry asymmetric (one.csv) and symmetric (other.csv)" in str(caught.value)
    assert "lesion_id" not in str(caught.value)


def test_one_name_of_two_pictures_is_refused(tmp_path: Path) -> None:
    catalogs = [(str(n), catalog({"image_id": "a", "image_path": picture(tmp_path / f"{n}.png", n)})) for n in range(2)]
    with pytest.raises(DataError, match=r"image_id a is two images, .*0\.png and .*1\.png; correct the catalogs"):
        merge_catalogs(catalogs)


def test_files_that_differ_are_compared_and_the_comparison_is_told(tmp_path: Path) -> None:
    rows = [catalog({"image_id": "a", "image_path": picture(tmp_path / name, 1)}) for name in ("1.png", "2.png")]
    told: list[tuple[int, int]] = []
    merged = merge_catalogs([("x", rows[0]), ("y", rows[1])], on_progress=lambda *now: told.append(now))
    assert (len(merged.table), told) == (1, [(1, 1)])


def test_missing_files_are_left_to_the_audit(tmp_path: Path) -> None:
    rows = [catalog({"image_id": "a", "image_path": str(tmp_path / f"{n}.png")}) for n in range(2)]
    assert len(merge_catalogs([("x", rows[0]), ("y", rows[1])]).table) == 1
