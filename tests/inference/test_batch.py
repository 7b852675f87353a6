"""Rows, overlays and masks for each file, whatever becomes of the others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from pydicom import dcmread
from pydicom.dataset import FileDataset

import selcn
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import DataError
from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows
from selcn.inference.inputs import Item, list_items
from selcn.inference.overlay import draw_overlay
from selcn.inference.predictor import Predictor
from selcn.inference.row import flatten, row_fields
from selcn.inference.stream import BATCH
from selcn.inference.table import write_csv, write_parquet
from selcn.io.resume import PLAN


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    """A bundle."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Pictures of three sizes; three of a name in two cases, one named as a numbered one would be, one that is none."""
    generator = np.random.default_rng(4)
    names = ["one/lesion.png", "two/lesion.png", "three/Lesion.png", "one/lesion-2.png", "two/broken.png", "one/z.png"]
    for number, name in enumerate(names):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, generator.integers(0, 256, (60 + 10 * number, 80, 3)).astype(np.uint8))
    (tmp_path / "pictures" / "two/broken.png").write_bytes(b"no picture")
    return [Item(str(tmp_path / "pictures" / name)) for name in names]


def rows_of(out: Path) -> list[dict[str, Any]]:
    return list(read_rows(out / ROWS))


def test_each_row_is_its_picture_s_prediction(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    predict_files([predictor], items, tmp_path / "out", options=OutputOptions(masks=True))
    rows = rows_of(tmp_path / "out")
    assert [row["image"] for row in rows] == [item.name for item in items]
    for item, row in zip(items, rows, strict=True):
        if "error" not in row:
            alone = predictor.predict(item.name)
            assert row["diagnosis"]["probabilities"] == pytest.approx(alone["diagnosis"].probabilities, abs=1e-5)
            assert {**row, **alone.to_json()}.keys() == row.keys()
            assert (row["width"], row["height"]) == alone.size
            assert alone.lesion is not None
            mask = read_image(tmp_path / "out" / row["mask"])[..., 0] > 0
            assert (mask == alone.lesion.mask).mean() > 0.999


def test_dicom_images_get_segmentations_that_hold_their_masks(
    predictor: Predictor, items: list[Item], dataset: Callable[..., FileDataset], tmp_path: Path
) -> None:
    pixels = np.stack([read_image(Path(items[number].name)) for number in (0, 0, 0)])
    pixels[1] //= 2
    made = {"one": dataset(pixels[0], "RGB"), "several": dataset(pixels, "RGB", NumberOfFrames=3)}
    made["bare"] = dataset(pixels[0], "RGB", StudyInstanceUID="")
    for name, image in made.items():
        image.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    given = [Item(str(tmp_path / f"{name}.dcm")) for name in made] + [items[0]]
    assert (
        predict_files([predictor], given, tmp_path / "out", options=OutputOptions(masks=True, segmentations=True)) == []
    )
    one, *frames, bare, plain = rows_of(tmp_path / "out")
    for row in (one, *frames):
        written = dcmread(tmp_path / "out" / row["segmentation"])
        assert written.pixel_array.tolist() == (read_image(tmp_path / "out" / row["mask"])[..., 0] > 0).tolist()
    assert [row["segmentation"] for row in frames] == [
        f"segmentations/several-frame-{number}.dcm" for number in range(3)
    ]
    assert "lacks StudyInstanceUID" in bare["segmentation_error"]
    assert not {"segmentation", "segmentation_error"} & plain.keys()


def test_pictures_of_one_name_keep_their_own_overlays(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    predict_files([predictor], items, tmp_path / "out")
    overlays = {row["image"]: row["overlay"] for row in rows_of(tmp_path / "out") if "error" not in row}
    assert list(overlays.values()) == [
        "overlays/lesion.jpg",
        "overlays/lesion-2.jpg",
        "overlays/Lesion-3.jpg",
        "overlays/lesion-2-2.jpg",
        "overlays/z.jpg",
    ]
    for image, overlay in overlays.items():
        picture = read_image(Path(image))
        about = [f"file: {Path(image).name}", predictor.label]
        expected = draw_overlay(picture, predictor.predict(picture), about)
        assert np.abs(read_image(tmp_path / "out" / overlay).astype(int) - expected).mean() < 12  # JPEG of noise


def test_an_unreadable_file_becomes_a_row_and_the_rest_goes_on(
    predictor: Predictor, items: list[Item], tmp_path: Path
) -> None:
    errors = predict_files([predictor], items, tmp_path / "out")
    assert errors == [f"{items[4].name}: not a readable image; replace the file or remove the row"]
    assert rows_of(tmp_path / "out")[4] == {"image": items[4].name, "error": errors[0]}
    missing = [items[4], Item(str(tmp_path / "missing.png"))]
    assert len(predict_files([predictor], missing, tmp_path / "none")) == 2


def test_what_a_stopped_one_has_done_is_not_done_again(
    predictor: Predictor, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, out = (items * 5)[: 3 * BATCH], tmp_path / "out"

    def stop(done: int, _total: int) -> None:
        if done == BATCH + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files([predictor], many, out, on_progress=stop)
    assert not (out / ROWS).exists()
    journal = out / f".{ROWS}"
    journal.write_bytes(journal.read_bytes()[:-7])  # cut off in the middle of a line
    asked, whole = [], predictor.predict_prepared

    def count(prepared: np.ndarray, sizes: list[tuple[int, int]], given: list[selcn.Given]) -> list[selcn.Prediction]:
        asked.append(len(sizes))
        return whole(prepared, sizes, given)

    with monkeypatch.context() as counting:
        counting.setattr(predictor, "predict_prepared", count)
        predict_files([predictor], many, out)
    assert sum(asked) == sum(item.name != items[4].name for item in many[BATCH:]), "whole batches are kept"
    assert not journal.exists()
    predict_files([predictor], many, tmp_path / "whole")
    assert (out / ROWS).read_bytes() == (tmp_path / "whole" / ROWS).read_bytes()


def test_a_folder_is_of_one_job(
    predictor: Predictor, items: list[Item], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, plain = tmp_path / "out", OutputOptions(overlays=False)
    predict_files([predictor], items[:2], out)
    with FileLock(out / ".lock"), pytest.raises(DataError, match="out: another process is making it"):
        predict_files([predictor], items[:2], out)
    predict_files([predictor], items[:2], out)
    assert {one.name for one in out.iterdir()} == {ROWS, "overlays", PLAN}
    assert not caplog.messages
    predict_files([predictor], items[:1], out, options=plain)  # other inputs and options
    assert {one.name for one in out.iterdir()} == {ROWS, PLAN, "earlier-1"}
    assert len(rows_of(out / "earlier-1")) == 2
    assert len(list((out / "earlier-1" / "overlays").iterdir())) == 2
    assert caplog.messages == [
        f"{out}: held results of other inputs, options or bundle; they are now in {out / 'earlier-1'}"
    ]
    shutil.copy(items[2].name, items[0].name)  # another image under the same name
    with pytest.raises(KeyboardInterrupt):
        predict_files([predictor], items[:1], out, options=plain, on_progress=interrupt)
    shutil.copy(items[1].name, items[0].name)
    predict_files([predictor], items[:1], out, options=plain)
    assert rows_of(out)[0]["height"] == 70
    assert {one.name for one in out.iterdir()} == {ROWS, PLAN, "earlier-1", "earlier-2", "earlier-3"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"mine: holds notes.txt, which is of no job of predict; choose another --out"):
        predict_files([predictor], items[:1], tmp_path / "mine")
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def interrupt(done: int, _total: int) -> None:
    """Stop after a file."""
    if done:
        raise KeyboardInterrupt


def test_results_below_an_input_are_no_inputs(
    predictor: Predictor, items: list[Item], caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(items[0].name).parents[1]
    listed = list_items([str(folder)])
    predict_files([predictor], listed, folder / "predictions", options=OutputOptions(masks=True))
    caplog.set_level("INFO")
    assert list_items([str(folder)]) == listed
    assert f"{folder}: 5 files in folders of earlier results not used" in caplog.messages
    assert len(list_items([f"{folder}/*/*.png"])) == len(listed)
    with pytest.raises(DataError, match="holds results of earlier predictions only"):
        list_items([f"{folder}/**/*.jpg"])
    assert len(list_items([str(folder / "predictions" / "overlays")])) == 5, "asked for by name"


def test_several_devices_give_the_same_rows_in_the_same_order(
    predictor: Predictor, tiny_run: Path, items: list[Item], tmp_path: Path
) -> None:
    many = items * 6
    predict_files([predictor], many, tmp_path / "one", options=OutputOptions(overlays=False))
    twins = [predictor, selcn.load(tiny_run / "bundle")]
    predict_files(twins, many, tmp_path / "two", options=OutputOptions(overlays=False))
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "two")


def test_rows_become_tables(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    predict_files([predictor], items, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    rows[0] |= {"segmentation": "segmentations/x.dcm"}
    rows[1] |= {"segmentation_error": "lacks StudyInstanceUID"}
    named, flat = row_fields(predictor.config), [flatten(row, predictor.config) for row in rows]
    write_csv(flat, named, tmp_path / "p.csv")
    write_parquet(flat, named, tmp_path / "p.parquet")
    for table in (pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet")):
        assert list(table.columns) == list(named)
        assert table["segmentation"].dropna().tolist() == ["segmentations/x.dcm"]
        assert table["segmentation_error"].dropna().tolist() == ["lacks StudyInstanceUID"]
        assert table["image"].tolist() == [row["image"] for row in rows]
        assert table["diagnosis_mel"][0] == pytest.approx(rows[0]["diagnosis"]["probabilities"]["mel"])
        assert table["error"].notna().tolist() == [False, False, False, False, True, False]
        assert table[["box_x", "box_width"]].to_numpy()[0].tolist() == rows[0]["lesion"]["box"][::2]


def test_inputs_are_files_folders_patterns_and_tables(items: list[Item], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "list.csv").write_text("image_id,image_path\nx,one/z.png\ny,two/lesion.png\n")
    names = [Path(item.name).relative_to(folder).as_posix() for item in list_items([str(folder)])]
    assert names == [
        "one/lesion-2.png",
        "one/lesion.png",
        "one/z.png",
        "three/Lesion.png",
        "two/broken.png",
        "two/lesion.png",
    ]
    assert [Path(item.name).name for item in list_items([str(folder / "*" / "z.png")])] == ["z.png"]
    listed = list_items([str(folder / "list.csv"), items[0].name])
    assert [Path(item.name).name for item in listed] == ["z.png", "lesion.png", "lesion.png"]
    for wrong, said in (
        (str(folder / "*.tif"), "no file is named so"),
        (str(folder / "absent.png"), "no such file or folder"),
    ):
        with pytest.raises(DataError, match=said):
            list_items([wrong])
    (folder / "list.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match="no column image_path or path"):
        list_items([str(folder / "list.csv")])


def test_standard_input_is_a_picture_or_paths(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        def __init__(self, data: bytes) -> None:
            self.buffer = self
            self.data = data

        def read(self) -> bytes:
            return self.data

    picture = Path(items[0].name).read_bytes()
    for data, expected in (
        (picture, [Item("-", picture)]),
        (f"{items[0].name}\n\n{items[1].name}\n".encode(), items[:2]),
    ):
        monkeypatch.setattr("sys.stdin", Input(data))
        assert list_items(["-"]) == expected
    for data in (b"", b"\x00\xff\xfe"):
        monkeypatch.setattr("sys.stdin", Input(data))
        with pytest.raises(DataError, match="standard input"):
            list_items(["-"])


def test_rows_are_json_without_nan(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    predict_files([predictor], items[:2], tmp_path / "out")
    lines = (tmp_path / "out" / ROWS).read_text().splitlines()
    assert len([json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines]) == 2
