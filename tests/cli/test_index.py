"""`selcn index` as a user types it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from selcn.data.catalog import read_catalog
from selcn.data.imaging.read import write_image
from selcn.data.sources import licence_of, registry

Selcn = Callable[..., int]
PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def draw(path: Path) -> None:
    """Write noise of the path's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.random.default_rng([*path.name.encode()]).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("mel/a.png", "mel/b.png", "nv/c.png", "wart/d.png"):
        draw(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


def test_a_folder_symmetry_labels_and_a_merge(
    pictures: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    one, labelled, both = (tmp_path / f"{name}.csv" for name in ("one", "labelled", "both"))
    assert selcn("index", "folder", pictures, "--out", one) == 0
    said = capsys.readouterr().out
    assert "4 images, 0 with a mask, 4 with a diagnosis, 0 with a symmetry" in said
    assert [line.split() for line in said.splitlines()[2:]] == [
        ["wart", "(unknown)", "1"],
        ["nv", "nv", "1"],
        ["mel", "mel", "2"],
    ]
    aliases = tmp_path / "aliases.yaml"
    aliases.write_text("wart: bkl")
    assert selcn("index", "folder", pictures, "--aliases", aliases, "--out", labelled, "--json") == 0
    assert {"published": "wart", "taken_as": "bkl", "images": 1} in json.loads(capsys.readouterr().out)["diagnoses"]
    assert read_catalog(labelled)["diagnosis"].value_counts().to_dict() == {"mel": 2, "nv": 1, "bkl": 1}
    labelled.unlink()
    labels = tmp_path / "labels.csv"
    labels.write_text("File,Mask,Dataset,labels_symmetry\na.png,,S,2\nb.png,,S,0\nz.png,,edra,1\n")
    assert selcn("index", "symderm", labels, one, "--out", labelled, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "catalog": str(labelled),
        "images": 4,
        "mask": 0,
        "diagnosis": 4,
        "symmetry": 2,
        "diagnoses": [
            {"published": "wart", "taken_as": "", "images": 1},
            {"published": "nv", "taken_as": "nv", "images": 1},
            {"published": "mel", "taken_as": "mel", "images": 2},
        ],
        "notes": {"labels of edra without an image": 1},
    }
    assert selcn("index", "merge", one, labelled, "--out", both) == 0
    assert "rows joined by image_id: 4" in capsys.readouterr().out
    assert read_catalog(both)["symmetry"].tolist() == ["two-axes", "asymmetric", "", ""]


def test_a_table_with_columns_of_its_own(
    pictures: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("pic;dx\na.png;nevus\nd.png;melanoma\n")
    command = ["index", "folder", pictures, "--labels", tmp_path / "t.csv", "--out", tmp_path / "c.csv"]
    assert selcn(*command, "--column", "image_id=pic", "--column", "diagnosis=dx") == 0
    assert "2 images, 0 with a mask, 2 with a diagnosis" in capsys.readouterr().out
    assert read_catalog(tmp_path / "c.csv")["diagnosis"].tolist() == ["nv", "mel"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["isik", "."],
            "source 'isik': unknown; known are derm7pt, folder, ham10000, isic, merge, milk10k, ph2, symderm",
        ),
        (["folder", "absent"], "absent: no such file or folder"),
        (["folder", ".", "."], "give one folder"),
        (["folder", ".", "--column", "diagnosis=dx"], "give it as --labels"),
        (["folder", ".", "--labels", "t.csv", "--column", "dx"], "--column dx: write the catalog's name"),
        (["ph2", ".", "--masks", "m"], "--masks: goes with `selcn index folder` only"),
        (["isic", ".", "--symmetry", "s.csv"], "--symmetry: goes with `selcn index ham10000` only"),
        (["isic", "."], "holds no images named ISIC_0000000"),
        (["merge", "absent.csv"], "absent.csv: cannot be read"),
        (["symderm", "t.csv"], "give a label CSV and the catalogs"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    selcn: Selcn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("image_id,image_path\na,a.png\n")
    assert selcn("index", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_source_of_the_page_makes_a_catalog_and_tells_its_licence(
    tmp_path: Path, selcn: Selcn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for held in ("_SOURCES", "_LICENCES"):
        monkeypatch.setattr(registry, held, dict(getattr(registry, held)))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(next(block for block in blocks if "register_source" in block), {})
    for name in ("P07/2-melanoma-1", "P07/2-melanoma-2", "P08/1-blue nevus-1", "P08/2-scc-1"):
        draw(tmp_path / "archive" / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    assert selcn("index", "clinic", "archive", "--masks", "archive") == 2
    assert "--masks: goes with `selcn index folder` only; give clinic its" in capsys.readouterr().err
    assert selcn("index", "clinic", "archive", "--out", "catalog.csv") == 0
    table = read_catalog(Path("catalog.csv"))
    assert table["diagnosis"].tolist() == ["mel", "mel", "blue-nevus", "scc"]
    assert table["lesion_id"].tolist() == ["P07-2", "P07-2", "P08-1", "P08-2"]
    assert table["patient_id"].tolist() == ["P07", "P07", "P08", "P08"]
    assert table["published_diagnosis"].tolist() == ["melanoma", "melanoma", "blue nevus", ""]
    assert licence_of("clinic") == "not to be passed on"
    draw(tmp_path / "archive" / "P09" / "a.jpg")
    assert selcn("index", "clinic", "archive") == 2
    assert "a.jpg: is not named LESION-DIAGNOSIS-NUMBER" in capsys.readouterr().err
