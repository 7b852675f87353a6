"""Leaks within a split and between the splits of two stages, counted by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.data.audit.leaks import leak_findings, read_parts
from selcn.data.catalog import complete_catalog
from selcn.data.duplicates import Duplicate
from selcn.errors import DataError

TWINS = [Duplicate("e", "f", False, 0.99, "mirrored")]


def catalog() -> pd.DataFrame:
    """Lesion L has images a and b, patient P has c and d; e and f are the same picture."""
    rows: list[dict[str, str]] = [{"image_id": name, "image_path": "x.png"} for name in "abcdefg"]
    rows[0]["lesion_id"] = rows[1]["lesion_id"] = "L"
    rows[2]["patient_id"] = rows[3]["patient_id"] = "P"
    return complete_catalog(pd.DataFrame(rows), "catalog")


def parts(text: str) -> dict[str, frozenset[str]]:
    """`a0 bt` puts a in fold 0 and b in the test part."""
    names = {"t": "test", "x": "train"}
    pairs = [(word[0], {names.get(letter, letter) for letter in word[1:] if letter != "-"}) for word in text.split()]
    return {image: frozenset(of) for image, of in pairs}


def found(**splits: str) -> list[tuple[str, str, str]]:
    findings = leak_findings(catalog(), TWINS, {name: parts(text) for name, text in splits.items()})
    return [(one.kind, "".join(one.image_ids), one.detail) for one in findings]


def test_a_sound_split_has_no_finding() -> None:
    assert found(s="a0 b0 c1 d1 et ft g0") == []
    assert found(s="a0 b- c1 d1 et f- g0") == [], "an excluded image is in no part"


def test_a_lesion_a_patient_and_a_duplicate_between_test_and_training() -> None:
    assert found(s="at b0 ct d1 et f1 gt") == [
        ("leak-test", "a", "s: 1 lesions (1 images) of its test part train too"),
        ("leak-test", "c", "s: 1 patients (1 images) of its test part train too"),
        ("leak-test", "e", "s: 1 duplicates (1 images) of its test part train too"),
    ]


def test_a_lesion_between_folds_and_an_image_in_two_parts() -> None:
    assert found(s="a0 b1 c0 d0 e0 f0 g0") == [("leak-fold", "ab", "s: 1 lesions (2 images) lie in several folds")]
    assert found(s="a0 b0 c0 d0 e0 f0 g0t") == [("leak-test", "g", "s: 1 images of its test part train too")]
    assert found(s="a0 b0 c0 d0 e0 f0 g01") == [("leak-fold", "g", "s: 1 images lie in several folds")]


def test_what_one_stage_tests_and_another_trains_on() -> None:
    sound = "a0 b0 c0 d0 e0 f0 gt"
    assert found(classification=sound, symmetry="a0 b0 c0 d0 e0 f0 g0") == [
        ("leak-stage", "g", "1 images of the test part of classification train in symmetry")
    ]
    # Neither split leaks within itself, and no image is in both; the lesion is.
    assert found(one="at c0", two="b0 c0")[-1] == (
        "leak-stage",
        "a",
        "1 lesions (1 images) of the test part of one train in two",
    )


def test_other_folds_in_another_stage() -> None:
    sound, other = "a0 b0 c1 d1 e0 f0 gt", "a0 b0 c0 d0 e0 f0 gt"
    assert ("leak-stage", "cd", "2 images have another fold in one than in two") in found(one=sound, two=other)
    assert found(one=sound, two=sound) == []


def test_images_without_a_part_and_parts_without_an_image_are_counted() -> None:
    assert found(s="a0 b0 c0 d0 e0 z0") == [
        ("split-partial", "fg", "s: 2 of 7 images have no part"),
        ("split-strange", "z", "s: 1 images are not in the catalog"),
    ]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["0", "1", "t"]), min_size=7, max_size=7))
def test_a_split_leaks_exactly_where_a_unit_has_two_parts(letters: list[str]) -> None:
    split = " ".join(f"{image}{letter}" for image, letter in zip("abcdefg", letters, strict=True))
    part = dict(zip("abcdefg", letters, strict=True))
    leaking = {frozenset(pair) for pair in ("ab", "cd", "ef") if part[pair[0]] != part[pair[1]]}
    findings = found(s=split)
    assert len(findings) == len(leaking)
    for kind, images, _ in findings:
        pair = next(pair for pair in leaking if set(images) <= pair)
        assert kind == ("leak-test" if "t" in {part[image] for image in pair} else "leak-fold")


def test_splits_of_other_people_are_read_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("image_id;part\nfolder/a.JPG;Train\nb.c;test\na.jpg;test\nd;excluded\n")
    assert read_parts(tmp_path / "s.csv") == {
        "a": frozenset({"train", "test"}),
        "b.c": frozenset({"test"}),
        "d": frozenset(),
    }


def test_a_split_file_is_read_however_faulty_it_is(tmp_path: Path) -> None:
    tree = {"images": {"a": {"part": "0"}, "b": {"part": "test", "group": "x"}}}
    (tmp_path / "s.json").write_text(json.dumps(tree))
    assert read_parts(tmp_path / "s.json") == {"a": frozenset({"0"}), "b": frozenset({"test"})}
    for text in ("{}", "no json", '{"images": [1]}'):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(DataError, match=r"s\.json: not a split .*give a file of `selcn split`, or a CSV"):
            read_parts(tmp_path / "s.json")
