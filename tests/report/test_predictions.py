"""A line and an overlay for each picture, whatever becomes of the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selcn.data.images import read_image, write_image
from selcn.inference import Predictor
from selcn.report.overlay import draw_overlay
from selcn.report.predictions import BATCH, predict_files


def read_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Pictures of three sizes; three of a name in two cases, one named as a numbered one would be, one that is none."""
    generator = np.random.default_rng(4)
    names = ["one/lesion.png", "two/lesion.png", "three/Lesion.png", "one/lesion-2.png", "two/broken.png", "one/z.png"]
    for number, name in enumerate(names):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, generator.integers(0, 256, (60 + 10 * number, 80, 3)).astype(np.uint8))
    (tmp_path / "pictures" / "two/broken.png").write_bytes(b"no picture")
    return [tmp_path / "pictures" / name for name in names]


def test_each_line_is_its_picture_s_prediction(predictor: Predictor, pictures: list[Path], tmp_path: Path) -> None:
    predict_files(predictor, pictures, tmp_path / "out")
    lines = read_lines(tmp_path / "out")
    assert [line["image"] for line in lines] == [str(path) for path in pictures]
    for path, line in zip(pictures, lines, strict=True):
        if "error" not in line:
            alone = predictor.predict(path)
            assert line["diagnosis"]["probabilities"] == pytest.approx(alone.diagnosis, abs=1e-5)
            assert {**line, **alone.to_json()}.keys() == line.keys()
            assert (line["width"], line["height"]) == alone.mask.shape[::-1]


def test_pictures_of_one_name_keep_their_own_overlays(
    predictor: Predictor, pictures: list[Path], tmp_path: Path
) -> None:
    predict_files(predictor, pictures, tmp_path / "out")
    overlays = {line["image"]: line["overlay"] for line in read_lines(tmp_path / "out") if "error" not in line}
    assert list(overlays.values()) == [
        "overlays/lesion.jpg",
        "overlays/lesion-2.jpg",
        "overlays/Lesion-3.jpg",
        "overlays/lesion-2-2.jpg",
        "overlays/z.jpg",
    ]
    for image, overlay in overlays.items():
        picture = read_image(Path(image))
        expected = draw_overlay(picture, predictor.predict(picture))
        assert np.abs(read_image(tmp_path / "out" / overlay).astype(int) - expected).mean() < 12  # JPEG of noise


def test_unreadable_picture_becomes_a_line_and_the_rest_goes_on(
    predictor: Predictor, pictures: list[Path], tmp_path: Path
) -> None:
    errors = predict_files(predictor, pictures, tmp_path / "out")
    assert errors == [f"{pictures[4]}: not a readable picture; replace the file or remove the row"]
    assert read_lines(tmp_path / "out")[4] == {"image": str(pictures[4]), "error": errors[0]}
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == len(pictures) - 1


def test_nothing_readable_is_no_failure(predictor: Predictor, pictures: list[Path], tmp_path: Path) -> None:
    assert len(predict_files(predictor, [pictures[4], tmp_path / "missing.png"], tmp_path / "out")) == 2
    assert all("error" in line for line in read_lines(tmp_path / "out"))


def test_progress_counts_pictures_and_the_file_is_renamed_last(
    predictor: Predictor, pictures: list[Path], tmp_path: Path
) -> None:
    many, calls = [pictures[0]] * (BATCH + 3), []

    def on_progress(done: int, total: int) -> None:
        calls.append((done, total))
        assert not (tmp_path / "out" / "predictions.jsonl").exists()

    predict_files(predictor, many, tmp_path / "out", on_progress=on_progress)
    assert calls == [(BATCH, BATCH + 3), (BATCH + 3, BATCH + 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["overlays", "predictions.jsonl"]
    assert len(read_lines(tmp_path / "out")) == BATCH + 3
