"""The inputs of `selcn predict` and `mask` as a list of files, and the messages about files that have odd names."""

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

import selcn
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import DataError
from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows
from selcn.inference.inputs import Item, list_items
from selcn.inference.stream import distinct_stems
from selcn.inference.table import write_csv
from selcn.io.tables import read_table

Draw = Callable[[str], Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    def write(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.random.default_rng(len(name)).integers(0, 256, (40, 50, 3), dtype=np.uint8))
        return path

    return write


def names(*given: Path | str) -> list[str]:
    return [item.name for item in list_items([str(one) for one in given])]


def test_trees_of_isic_and_ph2_give_their_images_alone_and_say_what_is_left(
    tmp_path: Path, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    isic = draw("t/data/ISIC_0000001.jpg")
    for name in (
        "data/ISIC_0000001_superpixels.png",
        "truth/ISIC_0000001_segmentation.png",
        "a/ISIC_0000001_attribute_globules.png",
    ):
        draw(f"t/{name}")
    ph2 = draw("t/IMD002/IMD002_Dermoscopic_Image/IMD002.bmp")
    draw("t/IMD002/IMD002_lesion/IMD002_lesion.bmp")
    draw("t/IMD002/IMD002_roi/IMD002_R1_Label4.bmp")
    (tmp_path / "t" / "PH2_dataset.txt").write_text("")
    with caplog.at_level(logging.INFO, "selcn"):
        assert names(tmp_path / "t") == [str(ph2), str(isic)]
    assert caplog.messages == [
        f"{tmp_path / 't'}: masks not used: 2, by-products such as superpixels not used: 3, files of other kinds not "
        "used (.txt): 1"
    ]
    mask = tmp_path / "t/truth/ISIC_0000001_segmentation.png"
    assert names(mask) == [str(mask)], "a file that is named is taken"


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("IMAGE\n\n a.png \n\nb.png\n", "csv"),
        ("Image_Path;note\na.png;x\nb.png;y\n", "csv"),
        ("sep=;\nimage;note\na.png;x\nb.png;y\n", "csv"),
        ("a.png\n b.png \n\n", "txt"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_are_read_as_they_are_written(
    tmp_path: Path, draw: Draw, content: str, suffix: str, encoding: str
) -> None:
    wanted = [str(draw("a.png")), str(draw("b.png"))]
    (tmp_path / f"list.{suffix}").write_bytes(content.encode(encoding))
    assert names(tmp_path / f"list.{suffix}") == wanted


def test_lists_without_header_name_frames_and_rows_without_path_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [Image.new("RGB", (40, 40), (number, 90, 90)) for number in (10, 200)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    for lines in (["scan.tif#1"], ["scan.tif#0", "scan.tif#1"]):
        (tmp_path / "list.txt").write_text("\n".join(lines))
        items = list_items([str(tmp_path / "list.txt")])
        assert [item.frame for item in items] == [int(line[-1]) for line in lines]
        assert [item.frames()[0][0][0, 0, 0] for item in items] == [(10, 200)[int(line[-1])] for line in lines]
    (tmp_path / "list.txt").write_text("set.hdf5#ISIC_0000001\n")
    assert names(tmp_path / "list.txt") == [f"{tmp_path}/set.hdf5#ISIC_0000001"]
    (tmp_path / "t.csv").write_text("image,dx\na.png,nv\n,nv\n\n,mel\nb.png,\n")
    with caplog.at_level(logging.WARNING, "selcn"):
        assert names(tmp_path / "t.csv") == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]
    assert caplog.messages == [f"{tmp_path}/t.csv: 2 rows without image are left out: line 3 | line 5"]
    (tmp_path / "t.csv").write_text("image,dx\n,nv\n")
    with pytest.raises(DataError, match=r"t.csv: column image is empty in every row; write the paths"):
        names(tmp_path / "t.csv")


def test_a_spreadsheet_lists_images_and_a_table_without_paths_says_its_columns(tmp_path: Path, draw: Draw) -> None:
    book = openpyxl.Workbook()
    for row in (["File", "image_id"], ["a.png", 7]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "list.xlsx")
    assert list_items([str(tmp_path / "list.xlsx")]) == [Item(str(draw("a.png")), None, "7")]
    (tmp_path / "t.csv").write_text("picture,dx\na.png,nv\n")
    with pytest.raises(DataError, match=r"no column image_path or path or image or file, but picture, dx; name"):
        names(tmp_path / "t.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_standard_input_takes_lists_in_either_encoding_and_images_of_any_format(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    def send(data: bytes) -> list[Item]:
        monkeypatch.setattr(sys, "stdin", type("", (), {"buffer": io.BytesIO(data)}))
        return list_items(["-"])

    assert [item.name for item in send("\n BMs/a.png \n\nb.png\n".encode(encoding))] == ["BMs/a.png", "b.png"]
    for kind in ("JPEG", "BMP", "GIF", "AVIF", "JPEG2000"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, kind)
        assert send(file.getvalue()) == [Item("-", file.getvalue())]
    with pytest.raises(DataError, match="neither an image nor a path a line"):
        send(b"\xff\x00nothing")


def test_odd_names_are_rows_like_any_other(tmp_path: Path, draw: Draw, tiny_run: Path) -> None:
    folder = tmp_path / "in"
    draw("in/=HYPERLINK(1).png")
    long = draw(f"in/{'n' * 248}.png")
    pages = [Image.new("RGB", (40, 40), (number, 90, 90)) for number in (10, 200)]
    pages[0].save(folder / "p.tif", save_all=True, append_images=pages[1:])
    try:
        os.rename(draw("in/x.png"), os.fsencode(folder) + b"/b\xe4d.png")  # noqa: PTH104 - of bytes
        odd = [f"{folder}/b\\xe4d.png"]
    except OSError:
        odd = []  # this file system takes UTF-8 only
    items = [*list_items([str(folder)]), Item(f"{folder}/p.tif#1"), Item(f"{folder}/gone.png")]
    predictor = selcn.load(tiny_run / "bundle")
    errors = predict_files([predictor], items, tmp_path / "out", options=OutputOptions(masks=True))
    rows = list(read_rows(tmp_path / "out" / ROWS))
    assert len(errors) == 1
    shown = [(row["image"], row.get("frame")) for row in rows]
    wanted = [(f"{folder}/=HYPERLINK(1).png", None), *((name, None) for name in odd), (str(long), None)]
    assert shown[: len(wanted)] == wanted
    assert shown[len(wanted) :] == [
        *((f"{folder}/p.tif", number) for number in (0, 1)),
        (f"{folder}/p.tif#1", None),
        (f"{folder}/gone.png", None),
    ]
    assert rows[-3]["diagnosis"] == rows[-2]["diagnosis"]
    written = [tmp_path / "out" / row[key] for row in rows[:-1] for key in ("overlay", "mask")]
    assert len(set(written)) == len(written)
    assert all(path.is_file() for path in written)


def test_long_stems_are_cut_and_stay_apart() -> None:
    stems = distinct_stems([Item(f"{'ä' * 120}{number}.png") for number in (1, 2)] + [Item("short.png")])
    assert len(set(stems)) == 3
    assert stems[2] == "short"
    assert all(len(stem.encode()) <= 209 and stem.startswith("ä" * 100) for stem in stems[:2])


def test_a_formula_for_a_name_is_text_in_a_table(tmp_path: Path) -> None:
    write_csv([{"image": "=1+1", "x": -3}, {"image": "a.png", "x": 4}], {"image": str, "x": int}, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b"image,x\r\n'=1+1,-3\r\na.png,4\r\n"
    assert read_table(tmp_path / "t.csv")["image"].tolist() == ["=1+1", "a.png"]


def test_arrays_of_one_image_are_predicted_alike(tiny_run: Path) -> None:
    predictor = selcn.load(tiny_run / "bundle")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    wanted = predictor.predict(image).to_json()
    for same in (image.astype(np.uint16) << 8, image / 255, Image.fromarray(image)):
        assert predictor.predict(same).to_json() == wanted
    with pytest.raises(DataError, match="brightest level"):
        predictor.predict(image.astype(np.uint16))


def test_large_jpeg_may_be_decoded_small(
    tmp_path: Path, tiny_run: Path, selcn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The answers are nearly those of the whole picture, masks of its whole size; with hair removed at 1,024 pixels."""
    small = Image.fromarray(read_image(sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]))
    (tmp_path / "in").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    large = small.resize((2400, 1800), Image.Resampling.BICUBIC)
    large.save(tmp_path / "in" / "a.jpg", quality=95)
    large.rotate(90, expand=True).save(tmp_path / "in" / "b.jpg", quality=95, exif=turned)
    large.save(tmp_path / "in" / "c.jpg", "MPO", quality=95, save_all=True, append_images=[small])
    words = ["predict", tiny_run / "bundle", tmp_path / "in", "--masks"]
    assert selcn(*words, "--draft", "--out", tmp_path / "refused") == 2
    assert "add --no-overlays" in capsys.readouterr().err
    assert selcn(*words, "--no-overlays", "--out", tmp_path / "whole") == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "draft")
    assert selcn(*words, "--no-overlays", "--draft", "--out", tmp_path / "draft") == 0
    assert (tmp_path / "draft" / "earlier-1" / ROWS).is_file(), "another job than the whole one"
    rows = zip(*(read_rows(tmp_path / name / ROWS) for name in ("whole", "draft")), strict=True)
    for whole, draft in rows:
        assert (draft["width"], draft["height"]) == (whole["width"], whole["height"]) == (2400, 1800)
        assert read_image(tmp_path / "draft" / draft["mask"]).shape == (1800, 2400, 3)
        expected, found = (row["diagnosis"]["probabilities"] for row in (whole, draft))
        assert found != expected
        assert found == pytest.approx(expected, abs=0.02)
    ((picture, size),) = Item(str(tmp_path / "in" / "a.jpg"), None, "", (1024, 768)).frames()
    assert (picture.shape, size) == ((900, 1200, 3), (2400, 1800))
