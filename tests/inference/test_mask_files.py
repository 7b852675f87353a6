"""Masks and masked images as files, against the prediction of each image and boxes drawn by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import selcn
from selcn.cli import main
from selcn.data.catalog import read_catalog
from selcn.data.imaging.prepare import remove_hair
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import ConfigError
from selcn.inference.inputs import Item
from selcn.inference.mask_files import BOXES, MaskKind, write_masks
from selcn.inference.predictor import Predictor
from selcn.inference.result import Lesion, find_lesion
from selcn.inference.stream import BATCH
from selcn.io.resume import PLAN

FOLDERS = {"clean", "lae-binary", "lae-image", "segmentation-binary", "segmentation-image"}


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    """A bundle."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture
def items(tiny_run: Path, tmp_path: Path) -> list[Item]:
    """Images of three sizes, two of one name, and one that is none."""
    first, second, *_ = sorted((tiny_run / "data" / "phantom" / "images").iterdir())
    images = {
        "a/x.png": read_image(first),
        "b/x.png": np.repeat(read_image(second), 2, axis=0),
        "y.png": np.repeat(read_image(first), 2, axis=1),
    }
    for name, image in images.items():
        write_image(tmp_path / "in" / name, image)
    (tmp_path / "in" / "z.png").write_bytes(b"no picture")
    return [Item(str(tmp_path / "in" / name)) for name in (*images, "z.png")]


def level(path: Path) -> np.ndarray:
    image = read_image(path)
    assert set(np.unique(image)) <= {0, 255}
    return image[..., 0]


def test_files_are_the_prediction_of_each_image_at_its_own_size(
    predictor: Predictor, items: list[Item], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    errors = write_masks([predictor], items, out, maskings=["segmentation", "LAE"], kinds=list(MaskKind))
    assert errors == [f"{items[3].name}: not a readable image; replace the file or remove the row"]
    assert {path.name for path in out.iterdir()} == {*FOLDERS, BOXES, PLAN}
    boxes = pd.read_csv(out / BOXES)
    assert list(boxes.columns) == ["image", "x", "y", "width", "height", "found", "file"]
    assert boxes["file"].tolist() == ["x.png", "x-2.png", "y.png"]
    for item, row in zip(items[:3], boxes.to_dict("records"), strict=True):
        image, lesion = read_image(Path(item.name)), predictor.predict(item.name).lesion
        assert lesion is not None
        assert (row["image"], row["found"]) == (item.name, bool(lesion.mask.any()))
        assert (row["x"], row["y"], row["width"], row["height"]) == lesion.box
        mask, box = (level(out / folder / row["file"]) > 0 for folder in ("segmentation-binary", "lae-binary"))
        assert np.array_equal(mask, lesion.mask)
        x, y, width, height = lesion.box
        assert box[y : y + height, x : x + width].all()
        assert box.sum() == width * height
        clean = remove_hair(image)
        assert np.array_equal(read_image(out / "clean" / row["file"]), clean)
        seen = clean if predictor.config.prepare.hair else image
        assert np.array_equal(read_image(out / "lae-image" / row["file"]), seen * box[..., None])
        masked = read_image(out / "segmentation-image" / row["file"])
        assert np.array_equal(masked, seen * (mask if mask.any() else np.ones_like(mask))[..., None])


def test_lesions_by_hand_and_none(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    masks = [np.zeros((48, 64), bool), np.zeros((48, 64), bool)]
    masks[0][10:20, 30:50] = True

    class Known(Predictor):
        def find_lesions(self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Lesion]:  # noqa: ARG002
            return [find_lesion(mask) for mask in masks]

    known = Known(predictor.config, predictor.run)
    two = [items[0], items[0]]
    assert read_image(Path(items[0].name)).shape == (48, 64, 3)
    write_masks([known], two, tmp_path / "out", maskings=["segmentation", "lae"], kinds=[MaskKind.BINARY])
    boxes = pd.read_csv(tmp_path / "out" / BOXES)
    assert boxes[["x", "y", "width", "height"]].to_numpy().tolist() == [[26, 8, 28, 14], [0, 0, 64, 48]]
    assert boxes["found"].tolist() == [True, False]
    counts = [int((level(path) > 0).sum()) for path in sorted((tmp_path / "out").glob("*/*.png"))]
    assert counts == [64 * 48, 28 * 14, 0, 200]


def test_what_a_stopped_one_has_done_is_not_done_again(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    many, asked = items[:3] * 6, []

    def stop(done: int, _total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    class Counted(Predictor):
        def find_lesions(self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Lesion]:
            asked.append(len(sizes))
            return super().find_lesions(prepared, sizes)

    counted, what = Counted(predictor.config, predictor.run), {"maskings": ["lae"], "kinds": [MaskKind.BINARY]}
    with pytest.raises(KeyboardInterrupt):
        write_masks([counted], many, tmp_path / "out", **what, on_progress=stop)  # type: ignore[arg-type]
    assert not (tmp_path / "out" / BOXES).exists()
    asked.clear()
    write_masks([counted], many, tmp_path / "out", **what)  # type: ignore[arg-type]
    assert sum(asked) == len(many) - BATCH
    assert len(pd.read_csv(tmp_path / "out" / BOXES)) == len(many)


def test_what_cannot_be_written_is_one_line(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="masking 'guess': unknown; known are none, segmentation, lae"):
        write_masks([predictor], items, tmp_path / "out", maskings=["guess"], kinds=[MaskKind.IMAGE])
    networks = {name: spec for name, spec in predictor.config.networks.items() if name != "lesion"}
    alone = Predictor(predictor.config.model_copy(update={"networks": networks}), predictor.run)
    with pytest.raises(ConfigError, match="has no segmentation network; give one that has"):
        write_masks([alone], items, tmp_path / "out", maskings=["lae"], kinds=[MaskKind.IMAGE])


def test_the_command_takes_a_catalog_and_chooses(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = tmp_path / "catalog.csv"
    read_catalog(tiny_run / "data" / "catalog.csv").head(3).to_csv(catalog, index=False)
    command = ["selcn", "mask", tiny_run / "bundle", catalog, "--out", tmp_path / "out"]
    for more, folders in (
        (["--masking", "lae", "--kind", "binary"], {"lae-binary"}),
        (["--kind", "clean", "--kind", "image", "--engine", "torch"], {"clean", "segmentation-image", "lae-image"}),
        ([], FOLDERS),
    ):
        monkeypatch.setattr("sys.argv", [*map(str, command[:-1]), f"{tmp_path / 'out'}-{len(more)}", *more])
        with pytest.raises(SystemExit, match="0"):
            main()
        out = Path(f"{tmp_path / 'out'}-{len(more)}")
        assert {path.name for path in out.iterdir()} == {*folders, BOXES, PLAN}
        assert all(len(list((out / name).iterdir())) == 3 for name in folders)
        assert "3 of 3 files" in capsys.readouterr().out
