"""Results that a table gives of files reach their images, and a faulty table is one line before anything is done."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import selcn
from selcn.cli import main
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import DataError
from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows
from selcn.inference.given import Given
from selcn.inference.given_table import read_given
from selcn.inference.inputs import Item, list_items
from selcn.inference.metadata_table import add_metadata
from selcn.inference.predictor import Predictor

SIZE = (70, 50)


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    """A bundle."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images, two of one name, and masks and maps beside them."""
    generator = np.random.default_rng(5)
    for number in range(9):
        write_image(tmp_path / f"images/{number}.png", generator.integers(0, 255, (50, 70, 3)).astype(np.uint8))
    write_image(tmp_path / "images/more/0.png", generator.integers(0, 255, (50, 70, 3)).astype(np.uint8))
    mask = np.zeros((50, 70), np.uint8)
    mask[10:20, 30:60] = 255
    write_image(tmp_path / "known/mask.png", mask)
    write_image(tmp_path / "known/small.png", mask[:-1])
    write_image(tmp_path / "known/map.png", np.tile(np.arange(0, 256, 51, dtype=np.uint8), (4, 1)))
    write_image(tmp_path / "known/colours.png", generator.integers(0, 255, (9, 9, 3)).astype(np.uint8))
    np.save(tmp_path / "known/map.npy", np.tile(np.linspace(0, 1, 6), (4, 1)))
    np.save(tmp_path / "known/large.npy", np.full((3, 3), 7))
    return tmp_path


def table(folder: Path, *lines: str) -> Path:
    path = folder / "known" / "given.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_row_reaches_its_image_and_no_other(predictor: Predictor, folder: Path) -> None:
    items = list_items([str(folder / "images")])
    given = table(
        folder,
        "image,mask,symmetry,symmetry_saliency",
        f"{folder / 'images' / '0.png'},mask.png,,",
        "3.png,,asymmetric,map.png",
        "4,mask.png,symmetric,map.npy",
        "../images/more/0.png,,,map.npy",
        "8,,,",
    )
    known = read_given(given, items, predictor)
    predict_files([predictor], items, folder / "out", options=OutputOptions(masks=True), given=known)
    rows = list(read_rows(folder / "out" / ROWS))
    names = [Path(row["image"]).relative_to(folder / "images").as_posix() for row in rows]
    assert {name: row["given"] for name, row in zip(names, rows, strict=True) if "given" in row} == {
        "0.png": ["mask"],
        "3.png": ["symmetry", "symmetry_saliency"],
        "4.png": ["mask", "symmetry", "symmetry_saliency"],
        "more/0.png": ["symmetry_saliency"],
    }
    mask = read_image(folder / "known/mask.png")[..., 0] > 0
    gradient = np.tile(np.linspace(0, 1, 6), (4, 1))
    expected = {
        "0.png": Given(mask),
        "3.png": Given(None, {"symmetry": "asymmetric"}, {"symmetry": gradient}),
        "4.png": Given(mask, {"symmetry": "symmetric"}, {"symmetry": gradient}),
        "more/0.png": Given(saliency={"symmetry": gradient}),
        "7.png": Given(),
    }
    for name, one in expected.items():
        row = rows[names.index(name)]
        alone = predictor.predict(folder / "images" / name, one).to_json()
        for key in ("symmetry", "diagnosis"):
            assert row[key]["probabilities"] == pytest.approx(alone[key]["probabilities"], abs=1e-5)
            assert np.abs(np.subtract(row[f"{key}_saliency"], alone[f"{key}_saliency"])).max() < 2e-4
        assert row["lesion"]["box"] == alone["lesion"]["box"]
    assert np.array_equal(read_image(folder / "out" / rows[names.index("4.png")]["mask"])[..., 0] > 0, mask)


def test_an_image_id_of_a_list_is_a_name(predictor: Predictor, folder: Path) -> None:
    (folder / "list.csv").write_text("image_id,image_path\nISIC_1,images/1.png\nISIC_2,images/2.png\n")
    items = list_items([str(folder / "list.csv")])
    known = read_given(table(folder, "image_id;symmetry", "ISIC_2;asymmetric"), items, predictor)
    assert {number: row.classes for number, row in known.rows.items()} == {1: {"symmetry": "asymmetric"}}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["image,streaks", "1,present"],
            "column streaks is unknown; write mask, symmetry, diagnosis, symmetry_saliency",
        ),
        (["image,lesion", "1,present"], "column lesion is unknown"),
        (["mask", "mask.png"], "no column image"),
        (["image,symmetry"], "has no rows"),
        (["image,symmetry", "1,odd"], "line 2: given symmetry: 'odd' is no class; it knows asymmetric, symmetric"),
        (["image,symmetry", "1,symmetric", "1.png,symmetric"], "line 3: 1.png stands twice"),
        (["image,symmetry", "12,symmetric"], "line 2: 12 is no input"),
        (["image,symmetry", ",symmetric"], "line 2: the empty cell is no input"),
        (["image,symmetry", "0,symmetric"], "line 2: 0 is 2 inputs, such as .*0.png and .*0.png; write the path"),
        (["image,mask", "1,absent.png"], r"line 2: .*absent\.png: no such file"),
        (["image,mask", "1,small.png"], r"1\.png: given mask: is 70x49, its image 70x50"),
        (["image,mask", "1,map.npy"], r"map\.npy: not a readable image"),
        (["image,symmetry_saliency", "1,large.npy"], r"1\.png: given symmetry_saliency: no map of values from 0 to 1"),
        (["image,symmetry_saliency", "1,colours.png"], r"colours\.png: saliency in colours"),
        (["image,symmetry_saliency", "1,given.csv"], r"given\.csv: not a readable image"),
        (["image,symmetry", "12,odd", "13,odd"], r"line 2: .* \| line 3: "),
        (["image,symmetry,Symmetry", "1,symmetric,symmetric"], "has 2 columns symmetry; keep one of them"),
    ],
)
def test_a_faulty_table_is_one_line(predictor: Predictor, folder: Path, lines: list[str], said: str) -> None:
    items = list_items([str(folder / "images")])
    with pytest.raises(DataError, match=said) as error:
        read_given(table(folder, *lines), items, predictor)
    assert "\n" not in str(error.value)


def test_what_files_cannot_tell_beforehand_is_a_row(
    predictor: Predictor, folder: Path, dataset: Callable[..., object]
) -> None:
    frames = dataset(np.zeros((2, 50, 70, 3), np.uint8), "RGB", NumberOfFrames=2)
    frames.save_as(folder / "two.dcm", enforce_file_format=True)  # type: ignore[attr-defined]
    items = [Item(str(folder / "two.dcm")), Item(str(folder / "absent.png")), Item(str(folder / "images/1.png"))]
    given = table(folder, "image,mask", *(f"{item.name},mask.png" for item in items))
    known = read_given(given, items, predictor)
    first, second = predict_files([predictor], items, folder / "out", given=known)
    assert first.endswith("two.dcm: holds 2 frames; give results of files with one frame only")
    assert "absent.png: cannot be read" in second
    assert list(read_rows(folder / "out" / ROWS))[2]["given"] == ["mask"]


def test_pages_of_files_are_images_masks_and_maps(predictor: Predictor, folder: Path) -> None:
    first, second = Image.new("L", (70, 50), 255), Image.new("L", (40, 30), 0)
    first.save(folder / "scan.tif", save_all=True, append_images=[second])
    second.putpixel((7, 5), 255)
    first.save(folder / "known/pages.tif", save_all=True, append_images=[second])
    items = [Item(f"{folder}/scan.tif#{page}") for page in (0, 1)]
    known = read_given(
        table(folder, "image,mask,symmetry_saliency", "scan.tif#1,pages.tif#1,pages.tif#1"), items, predictor
    )
    given = known.rows[1].read()
    assert given.mask is not None
    assert np.argwhere(given.mask).tolist() == np.argwhere(given.saliency["symmetry"]).tolist() == [[5, 7]]
    with pytest.raises(DataError, match=r"scan\.tif#1: given mask: is 70x50, its image 40x30"):
        read_given(table(folder, "image,mask", "scan.tif#1,pages.tif#0"), items, predictor)
    with pytest.raises(DataError, match=r"none\.tif#1: no such file"):
        read_given(table(folder, "image,mask", "scan.tif#1,none.tif#1"), items, predictor)


def test_the_command_takes_a_table_and_begins_anew_with_another(
    tiny_run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*lines: str) -> int:
        command = ["predict", tiny_run / "bundle", folder / "images", "--given", table(folder, *lines)]
        more = ["--out", folder / "out", "--no-overlays", "--table", "csv"]
        monkeypatch.setattr("sys.argv", ["selcn", *map(str, [*command, *more])])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    for word in ("asymmetric", "symmetric"):
        assert run("image,symmetry", f"1,{word}") == 0
        rows = [json.loads(line) for line in (folder / "out" / ROWS).read_text().splitlines()]
        assert [row["symmetry"]["prediction"] for row in rows if "given" in row] == [word]
        assert (folder / "out" / "predictions.csv").read_text().count(",symmetry,") == 2  # of header and row
    capsys.readouterr()
    assert run("image,symmetry", "1,odd") == 2
    assert "is no class" in capsys.readouterr().err


def metadata_of(folder: Path, items: list[Item], *lines: str) -> dict[int, dict[str, str]]:
    """What a table of metadata gives to a bundle that reads age and sex, by the number of the input."""
    bundle: Any = SimpleNamespace(name="x", config=SimpleNamespace(metadata=("age", "sex")))
    found = add_metadata(table(folder, *lines), items, bundle, None)
    return {number: dict(row.metadata) for number, row in found.rows.items()}


@pytest.mark.parametrize("header", ["image,age,sex", "ISIC_ID,Age_Approx,SEX", "Image_Path,age_approximate,Gender"])
def test_metadata_is_read_under_any_published_name_in_any_case(tmp_path: Path, header: str) -> None:
    (tmp_path / "known").mkdir()
    items = [Item("a/1.jpg"), Item("a/2.jpg"), Item("b/2.jpg")]
    read = metadata_of(tmp_path, items, header, "1,55,male", "b/2.jpg,,female", "another,?,?")
    assert read == {0: {"age": "55", "sex": "male"}, 2: {"age": "", "sex": "female"}}


def test_metadata_of_a_file_is_that_of_each_of_its_frames(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "scan.tif").touch()
    (tmp_path / "data.h5").touch()
    items = [Item(f"{tmp_path}/{name}") for name in ("scan.tif#0", "scan.tif#1", "data.h5#scan-2", "data.h5#b")]
    for cell in ("scan", "scan.tif", "../scan.tif", f"{tmp_path}/scan.tif"):
        assert metadata_of(tmp_path, items, "image,age,sex", f"{cell},55,", "data,9,").keys() == {0, 1}
    assert metadata_of(tmp_path, items, "image,age,sex", "scan.tif#1,55,", "b,9,").keys() == {1, 3}
    with pytest.raises(DataError, match="scan stands twice"):
        metadata_of(tmp_path, items, "image,age,sex", "scan.tif#1,55,", "scan,54,")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["image,age,sex", "2,55,male"], "line 2: 2 is 2 inputs, such as .*a/2.jpg and .*b/2.jpg; write the path"),
        (["image,age,sex", "1,55,male", "a/1.jpg,56,male"], "line 3: a/1.jpg stands twice; write one row an image"),
        (["image,age,sex,age", "1,55,male,56"], "has 2 columns age; keep one of them"),
        (["image,Age,sex,AGE", "1,55,male,56"], "has 2 columns age; keep one of them"),
        (["image,age,sex,Gender", "1,55,male,female"], "columns sex, gender are all sex; keep one of them"),
        (["image,sex", "1,male"], "has no column age; it has image, sex; add it, empty where unknown"),
        (["name,age,sex", "1,55,male"], "has no rows, or no column image"),
        (["image,age,sex", "1,old,male", "a/2.jpg,1,it"], r"line 2: age 'old' .* \| line 3: sex 'it' is unknown"),
    ],
)
def test_a_faulty_table_of_metadata_is_one_line(tmp_path: Path, lines: list[str], said: str) -> None:
    (tmp_path / "known").mkdir()
    with pytest.raises(DataError, match=said) as error:
        metadata_of(tmp_path, [Item("a/1.jpg"), Item("a/2.jpg"), Item("b/2.jpg")], *lines)
    assert "\n" not in str(error.value)
