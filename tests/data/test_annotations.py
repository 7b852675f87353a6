"""Masks survive the formats of annotation tools, and people's corrections reach the catalog with what was before."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from selcn.data.annotations.coco import write_coco
from selcn.data.annotations.corrections import COLUMNS, correct_catalog, read_annotations
from selcn.data.annotations.label_studio import page_configuration, write_label_studio
from selcn.data.annotations.record import Annotation, choices, ranked
from selcn.data.annotations.shapes import (
    decode_mask,
    encode_mask,
    fill_polygons,
    outline_polygons,
    pack_brush,
    unpack_brush,
)
from selcn.data.catalog import complete_catalog, write_catalog
from selcn.data.imaging.read import read_mask, write_image
from selcn.errors import DataError
from selcn.labels import LABEL_SETS

pytest.importorskip("pycocotools.mask", reason="the extra `annotations` is not installed")
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
PLUS = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]], dtype=bool)
WORDS = {"diagnosis": ["nv", "mel"], "symmetry": ["asymmetric", "one-axis", "two-axes"]}


def test_shapes_are_those_of_the_tools_themselves() -> None:
    # By columns: 4 outside, 1 in, 2 out, 2 in, 1 out, 1 in, 4 out; the string as pycocotools 2.0.11 writes it.
    assert (decode_mask([4, 1, 2, 2, 1, 1, 4], (5, 3)) == PLUS).all()
    assert encode_mask(PLUS) == "4121OO3"
    # Bytes of `encode_rle` of label-studio-sdk 2.1.2 for the RGBA image.
    assert pack_brush(PLUS) == [0, 0, 0, 60, 57, 27, 254, 23, 0, 183, 255, 108, 2, 63, 249, 192, 0]
    assert outline_polygons(PLUS) == [[1, 1, 4, 1, 4, 2, 3, 2, 3, 3, 2, 3, 2, 2, 1, 2]]


@settings(max_examples=150)
@given(MASKS)
def test_run_lengths_and_strokes_hold_every_pixel_and_polygons_all_but_holes(mask: np.ndarray) -> None:
    size = (mask.shape[1], mask.shape[0])
    assert (decode_mask(encode_mask(mask), size) == mask).all()
    assert (unpack_brush(pack_brush(mask), size) == mask).all()
    filled = ndimage.binary_fill_holes(mask, structure=np.ones((3, 3), dtype=bool))
    assert (fill_polygons(outline_polygons(mask), size) == filled).all()


def test_a_stroke_with_values_one_by_one_is_read() -> None:
    # 8 values of 8 bits: a literal of 3 (0, 0, 0), then a run of 5 times 7.
    bits = f"{8:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    bits += f"0{0:02b}{2:03b}" + "0" * 24 + f"1{0:02b}{4:03b}{7:08b}"
    packed = np.packbits([int(bit) for bit in bits]).tolist()
    assert unpack_brush(packed, (2, 1)).tolist() == [[True, True]]
    with pytest.raises(DataError, match="of 2 pixels, not of 3x1"):
        unpack_brush(packed, (3, 1))
    with pytest.raises(DataError, match="cannot be read"):
        unpack_brush(packed[:9], (2, 1))


def said(name: str, mask: np.ndarray | None, **words: str) -> Annotation:
    size = (5, 3) if mask is None else (mask.shape[1], mask.shape[0])
    return Annotation(name, f"images/{name}.png", size, None if mask is None else encode_mask(mask), words, 0.5, 0.75)


RING = np.pad(np.pad(np.zeros((1, 1), dtype=bool), 1, constant_values=True), ((1, 1), (2, 3)))
ALL = [said("a", PLUS, diagnosis="mel", symmetry="one-axis"), said("b", RING, diagnosis="nv"), said("c", PLUS & False)]


def of_people(tasks: list[dict[str, Any]], **about: object) -> list[dict[str, Any]]:
    """Tasks as Label Studio exports them after every prediction was submitted as it is."""
    return [
        {"id": number, "data": task["data"], "annotations": [{"result": task["predictions"][0]["result"], **about}]}
        for number, task in enumerate(tasks)
    ]


@pytest.mark.parametrize("tool", ["coco", "label-studio"])
@pytest.mark.parametrize("polygons", [False, True])
def test_a_round_trip_loses_nothing_but_holes_of_polygons(tool: str, polygons: bool, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    if tool == "coco":
        write_coco(ALL, file, WORDS, polygons=polygons)
    else:
        write_label_studio(ALL, file, polygons=polygons)
        file.write_text(json.dumps(of_people(json.loads(file.read_text()))))
    read = read_annotations(file)
    assert [one.image_id for one in read.annotations] == ["a", "b", "c"]
    for before, after in zip(ALL, read.annotations, strict=True):
        expected = ndimage.binary_fill_holes(before.mask()) if polygons else before.mask()
        assert after.words == before.words
        assert (after.mask() == expected).all() if expected.any() else not after.mask().any()


def test_coco_without_classes_holds_masks_alone(tmp_path: Path) -> None:
    write_coco([said("a", PLUS), said("b", None)], tmp_path / "f.json", {})
    document = json.loads((tmp_path / "f.json").read_text())
    assert document["categories"] == [{"id": 1, "name": "lesion", "supercategory": "lesion"}]
    assert [one["bbox"] for one in document["annotations"]] == [[1, 1, 3, 2], [0, 0, 5, 3]]
    assert [one["area"] for one in document["annotations"]] == [4, 15]
    first, second = read_annotations(tmp_path / "f.json").annotations
    assert (first.mask() == PLUS).all()
    assert (first.words, second.words, second.counts) == ({}, {}, None)


def test_the_page_of_label_studio_offers_every_word() -> None:
    page = page_configuration(choices([LABEL_SETS["isic2017"], LABEL_SETS["melanoma"], LABEL_SETS["symmetry-binary"]]))
    assert '<Choices name="diagnosis" toName="image" choice="single"><Choice value="mel"/>' in page
    assert '<Choice value="symmetric"/>' in page
    assert "rest" not in page


def test_the_least_sure_come_first() -> None:
    known = [Annotation(str(value), "", (1, 1), uncertainty=value) for value in (0.1, None, 0.9, 0.4)]
    assert [one.uncertainty for one in ranked(known)] == [0.9, 0.4, 0.1, None]
    assert [one.uncertainty for one in ranked(known, 1)] == [0.9]


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    write_image(tmp_path / "old.png", np.array([[0, 0, 0, 0, 0], [0, 255, 255, 0, 0], [0, 0, 0, 0, 0]], np.uint8))
    rows = [
        {"image_id": "a", "image_path": "x/a.png", "mask_path": str(tmp_path / "old.png"), "diagnosis": "nv"},
        {"image_id": "b", "image_path": "x/b.png", "diagnosis": "solar-lentigo"},
        {"image_id": "c", "image_path": "x/c.png", "symmetry": "two-axes"},
    ]
    return complete_catalog(pd.DataFrame(rows), "catalog")


def test_corrections_keep_what_was_before_and_who_said_what(table: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    given = [
        said("a", PLUS, diagnosis="mel"),
        said("b", None, diagnosis="bkl"),
        said("c", None, symmetry="symmetric", site="arm"),
    ]
    write_label_studio(given, file)
    tasks = of_people(json.loads(file.read_text()), completed_by={"email": "anna@clinic"}, updated_at="2026-01-02")
    tasks[0]["annotations"].append({"result": [], "was_cancelled": True, "updated_at": "2027"})
    older = {"result": [], "updated_at": "2025", "completed_by": 3}
    tasks[2]["annotations"].insert(0, older)
    tasks.append({"id": 9, "data": {"image_id": "a"}, "annotations": []})
    file.write_text(json.dumps(tasks))
    read = read_annotations(file)
    assert (read.without, read.several) == (1, 1)
    new, changes = correct_catalog(table, read, tmp_path / "masks")
    assert changes.columns.tolist() == COLUMNS
    rows = changes.set_index(["image_id", "column"])
    assert rows["change"].to_dict() == {
        ("a", "diagnosis"): "changed",
        ("a", "mask"): "changed",
        ("b", "diagnosis"): "confirmed",
        ("c", "symmetry"): "confirmed",
        ("c", "site"): "added",
    }
    assert rows["iou"].tolist()[1] == 2 / 4  # of the 4 pixels of the cross, the old mask has 2 and no other
    assert rows[["before", "after", "by", "when"]].to_numpy().tolist()[0] == ["nv", "mel", "anna@clinic", "2026-01-02"]
    assert new["diagnosis"].tolist() == ["mel", "solar-lentigo", ""]
    assert new["symmetry"].tolist() == ["", "", "two-axes"]
    assert new["mask_by"].tolist() == ["anna@clinic", "", ""]
    assert new["diagnosis_by"].tolist() == ["anna@clinic", "anna@clinic", ""]
    assert (read_mask(Path(new["mask_path"][0])) == PLUS).all()
    assert table["diagnosis"].tolist() == ["nv", "solar-lentigo", ""]


def test_the_python_of_the_page_of_annotations_runs(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for name in table["image_id"]:
        write_image(tmp_path / "x" / f"{name}.png", np.zeros((3, 5), np.uint8))
    write_catalog(table, Path("catalog.csv"))
    write_coco([said("a", PLUS, diagnosis="mel")], Path("export.json"), WORDS)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["changes"][["image_id", "column", "change", "by"]].to_numpy().tolist() == [
        ["a", "diagnosis", "changed", "anna"],
        ["a", "mask", "changed", "anna"],
    ]


def test_images_are_found_by_their_files_where_a_tool_drops_the_id(table: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    write_coco([said("b", PLUS, diagnosis="nv")], file, WORDS)
    document = json.loads(file.read_text())
    del document["images"][0]["selcn_image_id"]
    del document["categories"][0]["supercategory"]
    file.write_text(json.dumps(document))
    new, changes = correct_catalog(table, read_annotations(file, by="berta"), tmp_path / "masks")
    assert new["diagnosis"].tolist() == ["nv", "nv", ""]
    assert changes["by"].tolist() == ["berta", "berta"]


def broken(document: dict[str, Any], **changed: object) -> dict[str, Any]:
    return {**document, "annotations": [{**document["annotations"][0], **changed}]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"category_id": 7}, "a.png: category 7 is not listed"),
        ({"image_id": 7}, "annotation of image 7, which is not listed"),
        ({"segmentation": {"size": [5, 3], "counts": "4121OO3"}}, "its mask is of another size than 5x3"),
        ({"segmentation": {"size": [3, 5], "counts": [4, 1]}}, "run lengths are of 5 pixels, not of 5x3"),
        ({"segmentation": [[1, 1, 2, 2]]}, "a polygon has fewer than three points"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    write_coco(ALL[:1], file, WORDS)
    file.write_text(json.dumps(broken(json.loads(file.read_text()), **changed)))
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("3", "is neither COCO nor an export of Label Studio"),
        ("{}", "is no file of COCO"),
        ('[{"id": 1}]', "task 1: 'annotations' is missing or wrong"),
    ],
)
def test_another_file_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path / "f.json")


def test_strange_images_and_words_are_all_named_and_nothing_is_written(table: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    given = [said("a", PLUS, symmetry="even"), said("z", PLUS), said("c", PLUS), said("c", PLUS)]
    write_label_studio(given, file)
    file.write_text(json.dumps(of_people(json.loads(file.read_text()))))
    with pytest.raises(
        DataError, match=r"a: symmetry even; .* \| z is no image of the catalog \| c is annotated 2 times"
    ):
        correct_catalog(table, read_annotations(file), tmp_path / "masks")
    assert not (tmp_path / "masks").exists()
