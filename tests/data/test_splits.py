import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selcn.data.splits.protocols import grouped_split
from selcn.data.splits.split import EXCLUDED, Split, check_split, count_table, leaking_images, read_split, write_split
from selcn.errors import DataError
from selcn.labels import TEST

MakeCatalog = Callable[..., pd.DataFrame]


def test_a_split_reads_back(make_catalog: MakeCatalog, tmp_path: Path) -> None:
    table = make_catalog()
    split = grouped_split(table, folds=2, duplicates=[("0-0", "2-0")])
    write_split(split, table, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json", table) == split
    written = json.loads((tmp_path / "split.json").read_text())
    assert (written["protocol"], written["seed"], written["folds"]) == ("grouped", 42, 2)
    assert sum(part["images"] for part in written["counts"].values()) == len(table)
    assert written["leaking"] == {"0": 0, "1": 0, TEST: 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["images"].pop("0-0"), "was edited"),
        (lambda tree: tree["images"]["0-0"].update(part="9"), "was edited"),
        (lambda tree: tree["images"]["0-0"].update(group="lesion:7"), "was edited"),
        (lambda tree: tree["duplicates"].append(["0-0", "nobody"]), "was edited"),
        (lambda tree: tree.update(catalog="0"), "was made from another catalog"),
        (lambda tree: tree.update(protocol="by-hand"), "not a split file .*unknown protocol 'by-hand'"),
        (lambda tree: tree.pop("folds"), "not a split file"),
    ],
)
def test_a_changed_split_file_is_refused(
    make_catalog: MakeCatalog, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    table, path = make_catalog(), tmp_path / "split.json"
    write_split(grouped_split(table), table, path)
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(DataError, match=message):
        read_split(path, table)


def moved(split: Split, **parts: str) -> Split:
    return replace(split, part=split.part | {image.replace("_", "-"): part for image, part in parts.items()})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda split: moved(split, **{"1-0": other(split, "1-1")}), "lesion:1 is divided"),
        (lambda split: replace(split, part={k: v for k, v in split.part.items() if k != "0-0"}), "0-0 has no part"),
        (lambda split: moved(split, **{"0-0": "9"}), "image 0-0 has no part"),
        (lambda split: replace(split, folds=4), "part 3 holds no image"),
        (lambda split: replace(split, part={k: v.replace("1", "0") for k, v in split.part.items()}), "holds no"),
        (lambda split: replace(split, duplicates=(("0-0", stranger(split, "0-0")),)), "is divided"),
        (lambda split: replace(split, catalog="0"), "was made from another catalog"),
    ],
)
def test_a_wrong_split_is_refused_with_its_cause(
    make_catalog: MakeCatalog, wrong: Callable[[Split], Split], message: str
) -> None:
    table = make_catalog()
    with pytest.raises(DataError, match=message):
        check_split(wrong(grouped_split(table)), table, "split")


def other(split: Split, image: str) -> str:
    return TEST if split.part[image] != TEST else "0"


def stranger(split: Split, image: str) -> str:
    return next(name for name, part in split.part.items() if part != split.part[image])


def test_images_that_share_a_lesion_with_another_part_are_counted(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=30, photographs=3)  # lesion 2 has images 2-0, 2-1, 2-2
    split = grouped_split(table, folds=2)
    one = split.part["2-0"]
    elsewhere = next(part for part in split.parts if part != one)
    leaking = leaking_images(moved(split, **{"2-0": elsewhere}), table)
    assert leaking == {one: 2, elsewhere: 1} | {part: 0 for part in split.parts if part not in (one, elsewhere)}
    assert leaking_images(moved(split, **{"2-0": EXCLUDED}), table) == dict.fromkeys(split.parts, 0)


def test_the_fingerprint_tells_who_lies_where_and_nothing_else(make_catalog: MakeCatalog) -> None:
    split = grouped_split(make_catalog())
    turned = replace(split, part=dict(reversed(split.part.items())), seed=7)
    assert turned.fingerprint == split.fingerprint
    assert moved(split, **{"0-0": other(split, "0-0")}).fingerprint != split.fingerprint


def test_excluded_images_are_counted_apart(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=30, photographs=1)
    split = grouped_split(table, folds=2)
    excluded = replace(split, part=split.part | {"0-0": EXCLUDED})
    check_split(excluded, table, "split")
    counts = count_table(excluded, table)
    assert counts.loc[EXCLUDED, "images"] == 1
    assert counts["images"].sum() == 30
    assert EXCLUDED not in excluded.parts
