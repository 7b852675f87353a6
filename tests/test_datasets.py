"""Every command of docs/datasets.md, up to the split, on a small tree of the published shape."""

import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import dataset_trees as trees
import pytest

from selcn.cli import main
from selcn.config import ClassificationSection, load_config
from selcn.data.catalog import read_catalog
from selcn.data.sources.milk10k import CLASSES as MILK10K
from selcn.data.splits.split import read_split

PAGE = (Path(__file__).parent.parent / "docs" / "datasets.md").read_text(encoding="utf-8")


class Shape(NamedTuple):
    """What a catalog must hold, counted by hand.

    Attributes:
        make: writes the tree.
        held: number of images, of images with a mask, of lesion ids and of patient ids.
        source: of the images, where there is one.
        classes: images of each class, by the folder of the run.
    """

    make: Callable[[], None]
    held: tuple[int, int, int, int]
    source: str
    classes: dict[str, dict[str, int]]


def each(names: Iterable[str], count: int) -> dict[str, int]:
    return dict.fromkeys(names, count)


EIGHT = [name.lower() for name in trees.ISIC2019[:8]]
MILK = [name.lower() for name in MILK10K]
SHAPES = {
    "HAM10000": Shape(trees.ham10000, (35, 35, 28, 0), "ham10000", {"runs/ham10000": each(trees.HAM, 5)}),
    "ISIC 2016": Shape(trees.isic2016, (9, 8, 0, 0), "isic-2016", {"runs/isic2016": {"benign": 4, "malignant": 5}}),
    "ISIC 2017": Shape(
        trees.isic2017,
        (12, 12, 0, 0),
        "isic-2017",
        {"runs/isic2017": each(["mel", "seborrheic-keratosis", "nv"], 4), "runs/melanoma": {"rest": 8, "mel": 4}},
    ),
    "ISIC 2018": Shape(trees.isic2018, (39, 4, 28, 0), "isic-2018", {"runs/isic2018": each(trees.HAM, 5)}),
    "ISIC 2019": Shape(trees.isic2019, (45, 0, 36, 0), "isic-2019", {"runs/isic2019": each(EIGHT, 5)}),
    "ISIC 2020": Shape(trees.isic2020, (16, 0, 15, 5), "isic-2020", {"runs/isic2020": {"benign": 10, "malignant": 5}}),
    "ISIC 2024": Shape(trees.isic2024, (18, 0, 12, 9), "isic-2024", {"runs/isic2024": {"benign": 12, "malignant": 6}}),
    "BCN20000": Shape(trees.bcn20000, (40, 0, 32, 0), "BCN20000", {"runs/bcn20000": each(EIGHT, 5)}),
    "MILK10k": Shape(trees.milk10k, (44, 0, 44, 0), "milk10k", {"runs/milk10k": each(MILK, 4)}),
    "PH2": Shape(trees.ph2, (12, 12, 0, 0), "ph2", {"runs/ph2": each(["common-nevus", "atypical-nevus", "mel"], 4)}),
    "Derm7pt": Shape(
        trees.derm7pt,
        (29, 0, 29, 0),
        "",
        {
            "runs/derm7pt": {"bcc": 5, "nv": 5, "mel": 9, "seborrheic-keratosis": 5, "misc": 5},
            "runs/streaks": {"absent": 10, "regular": 10, "irregular": 9},
        },
    ),
    "PAD-UFES-20": Shape(
        trees.pad_ufes_20,
        (54, 0, 36, 18),
        "PAD-UFES-20",
        {"runs/pad": each(["ack", "bcc", "mel", "nev", "scc", "sek"], 9)},
    ),
    "Fitzpatrick17k": Shape(
        trees.fitzpatrick17k,
        (12, 0, 0, 0),
        "fitzpatrick17k",
        {"runs/fitzpatrick17k": each(["non-neoplastic", "benign", "malignant"], 4)},
    ),
    "DermNet": Shape(
        trees.dermnet,
        (20, 0, 0, 0),
        "",
        {"runs/dermnet": each(["Melanoma Skin Cancer Nevi and Moles", "Vascular Tumors", "Eczema Photos"], 5)},
    ),
    "Your own images": Shape(
        trees.own,
        (12, 0, 8, 4),
        "archive",
        {"runs/own": each(["nevus", "melanoma", "wart"], 4), "runs/table": {"nevus": 8, "melanoma": 4}},
    ),
}


def commands(name: str) -> Iterator[list[str]]:
    """Words after `selcn` of each command of a section."""
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for block in re.findall(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        yield from (shlex.split(line)[1:] for line in block.splitlines())


def counts(words: list[str]) -> tuple[str, dict[str, int]]:
    """Folder of a run, and images of each of its classes in the catalog as it is now."""
    config = load_config(Path(words[1]), [words[at + 1] for at, word in enumerate(words) if word == "--set"])
    network = config.networks["diagnosis"]
    assert isinstance(network, ClassificationSection)
    rows = read_catalog(Path("catalog.csv"))
    found = Counter(map(network.labels.class_of, rows[network.labels.column]))
    return words[words.index("--out") + 1], {key: count for key, count in found.items() if key}


def test_every_section_has_a_tree() -> None:
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == list(SHAPES)
    assert re.findall(r"^\| \[[^]]+\]\(#([a-z0-9-]+)\)", PAGE, re.MULTILINE) == [
        name.lower().replace(" ", "-") for name in SHAPES
    ]


@pytest.mark.parametrize("name", SHAPES)
def test_the_commands_of_a_section_keep_ids_masks_and_classes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shape = SHAPES[name]
    shape.make()
    Path("plain.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    found = {}
    for words in commands(name):
        if words[0] in ("index", "split"):
            monkeypatch.setattr(sys, "argv", ["selcn", *words])
            with pytest.raises(SystemExit) as stop:
                main()
            assert stop.value.code == 0
        elif words[0] == "run":
            folder, classes = counts(words)
            found[folder] = classes
    assert found == shape.classes

    rows = read_catalog(Path("catalog.csv"))
    known = {column: rows[column][rows[column] != ""] for column in ("mask_path", "lesion_id", "patient_id")}
    held = len(rows), len(known["mask_path"]), known["lesion_id"].nunique(), known["patient_id"].nunique()
    assert held == shape.held
    assert not shape.source or set(rows["source"]) == {shape.source}
    part = rows["image_id"].map(read_split(Path("split.json"), rows).part)
    for unit in ("lesion_id", "patient_id"):
        assert part.groupby(known[unit]).nunique().le(1).all()
