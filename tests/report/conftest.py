"""A finished run, made by hand: drawn pictures, random networks, drawn predictions, and figures computed from them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from selcn.config import RunConfig, dump_config
from selcn.data.catalog import catalog_hash, complete_catalog, write_catalog
from selcn.data.imaging.read import write_image
from selcn.data.splits.split import Split, read_split, write_split
from selcn.evaluation import Predictions, segmentation_scores
from selcn.evaluation.localisation import LOCALISATION
from selcn.evaluation.predictions import write_predictions, write_scores
from selcn.inference.assembly import assemble, write_bundle
from selcn.inference.bundle import NETWORKS, BundleConfig, symmetry_labels
from selcn.inference.predictor import Predictor, load
from selcn.labels import BinarySymmetry, Diagnosis, Protocol, Symmetry
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.report.finished import open_run
from selcn.runs.metrics import write_figures, write_saliency_figures
from selcn.runs.steps import MANIFEST

MakeRun = Callable[..., Path]

MARKUP = '<b>bold & "quoted"'
SIZE = (64, 48)
FOLDS = 2
CONFIG = RunConfig.model_validate(
    {
        "seed": 11,
        "data": {"source": "catalog", "path": "catalog.csv"},
        "split": {"folds": FOLDS, "seed": 5},
        "prepare": {"size": SIZE, "hair": False},
        "segmentation": {"architecture": "Unet", "encoder": "tu-mobilenetv3_small_050"},
        "symmetry": {"backbone": "squeezenet1_1"},
        "classification": {"backbone": "squeezenet1_1"},
        "resamples": 100,
    }
)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of random networks, by `NETWORKS`."""
    torch.manual_seed(0)
    networks = (
        build_segmenter(CONFIG.segmentation, pretrained=False),
        build_symmetry(CONFIG.symmetry, pretrained=False),
        build_classifier(CONFIG.classification, CONFIG.classification.variants[-1], pretrained=False),
    )
    folder = tmp_path_factory.mktemp("weights")
    for name, network in zip(NETWORKS, networks, strict=True):
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in NETWORKS}


@pytest.fixture(scope="session")
def make_run(weights: dict[str, Path]) -> MakeRun:
    """Make a finished run in a new folder; without a test part, the third part of its images is not there."""

    def make(folder: Path, *, test: bool = True) -> Path:
        folder.mkdir()
        (folder / "config.yaml").write_text(dump_config(CONFIG), encoding="utf-8")
        (folder / "environment.json").write_text('{"selcn": "0.9.8", "torch": "7.6.5"}', encoding="utf-8")
        table, split = _make_data(folder / "data", ["0", "1", "test"] if test else ["0", "1"])
        _finish(folder, "data", "store", "masks", "saliency/none", seconds=2.5)
        (folder / "split").mkdir()
        write_split(split, table, folder / "split" / "split.json")
        read_split(folder / "split" / "split.json", table)
        _finish(folder, "split", seconds=0.5)
        for stage, score in (
            ("segmentation", "jaccard"),
            ("symmetry/none", "balanced_accuracy"),
            ("classification/standalone-none", "balanced_accuracy"),
            ("classification/se-lcn-none-none", "balanced_accuracy"),
        ):
            _make_stage(folder, stage, score)
        _make_bundle(folder / "bundle", weights, split.fingerprint)
        _make_results(folder, table, split)
        steps = ["judged/fold-0", "judged/fold-1", "explained/symmetry", "explained/diagnosis"]
        _finish(folder, *steps, seconds=0)
        _finish(folder, "bundle", "predictions", "evaluation", seconds=7260)
        return folder

    return make


@pytest.fixture(scope="session")
def whole_run(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no test changes."""
    return make_run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def run(whole_run: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own; a file must be replaced, not written into, for its bytes are shared."""
    return Path(shutil.copytree(whole_run, tmp_path / "run", copy_function=os.link))


@pytest.fixture
def markup() -> str:
    """The id of a test image that would be markup if it were not escaped."""
    return MARKUP


@pytest.fixture(scope="session")
def predictor(whole_run: Path) -> Predictor:
    """Its bundle."""
    return load(whole_run / "bundle")


@pytest.fixture(scope="session")
def table(whole_run: Path) -> pd.DataFrame:
    """Its catalog."""
    return open_run(whole_run).table


def _make_data(folder: Path, parts: list[str]) -> tuple[pd.DataFrame, Split]:
    """Of every part seven lesions, one a diagnosis, and of the first two pictures: dark discs on bright ground."""
    rows = []
    for part in parts:
        for number, diagnosis in enumerate([Diagnosis.NV, *Diagnosis]):
            name = f"{part}-{number}" if (part, number) != ("test", 3) else MARKUP
            image, mask = _disc(radius=8 + number)
            for kind, pixels in (("images", image), ("masks", mask)):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                write_image(folder / kind / f"{part}-{number}.png", pixels)
            rows.append(
                {
                    "image_id": name,
                    "image_path": str(folder / "images" / f"{part}-{number}.png"),
                    "mask_path": str(folder / "masks" / f"{part}-{number}.png") if number else "",
                    "lesion_id": f"{part}-{max(number, 1)}",
                    "diagnosis": diagnosis.value,
                    "symmetry": list(Symmetry)[number % 3].value if number < 6 else "",
                }
            )
    table = complete_catalog(pd.DataFrame(rows), "drawn")
    write_catalog(table, folder / "catalog.csv")
    group = dict(zip(table["image_id"], "lesion:" + table["lesion_id"], strict=True))
    part_of = {image: lesion.removeprefix("lesion:").rpartition("-")[0] for image, lesion in group.items()}
    return table, Split(Protocol.GROUPED, part_of, group, FOLDS, CONFIG.split.seed, catalog_hash(table))


def _disc(radius: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    inside = (rows - 24) ** 2 + (columns - 32) ** 2 <= radius**2
    image = np.where(inside[..., None], (110, 70, 50), (225, 180, 165)).astype(np.uint8)
    return image, inside.astype(np.uint8) * 255


def _make_stage(run: Path, stage: str, score: str) -> None:
    """Fold 0 was best at epoch 2 of 3, fold 1 at epoch 1 of 2, by loss and by score alike."""
    for fold, losses in enumerate(([0.9, 0.5, 0.7], [0.4, 0.6])):
        folder = run / stage / f"fold-{fold}"
        folder.mkdir(parents=True)
        lines = [f"{epoch},{epoch},{loss + 0.1},{1 - loss},{loss}" for epoch, loss in enumerate(losses)]
        (folder / "metrics.csv").write_text(
            "\n".join([f"epoch,step,train_loss,val_{score},val_loss", *lines]), encoding="utf-8"
        )
        manifest = {"monitor": "val_loss", "best": min(losses), "epochs": len(losses), "seconds": 10.0}
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _make_bundle(folder: Path, weights: dict[str, Path], split: str) -> None:
    folder.mkdir()
    config = BundleConfig(
        prepare=CONFIG.prepare,
        segmentation=CONFIG.segmentation,
        symmetry=CONFIG.symmetry,
        classification=CONFIG.classification,
        variant=CONFIG.classification.variants[-1],
        cam_mask=CONFIG.cam_masks[0],
        members=FOLDS,
        split=split,
        symmetry_labels=tuple(symmetry_labels(CONFIG.symmetry.classes)),
    )
    write_bundle(folder, config, assemble(config, [weights] * FOLDS))


def _make_results(run: Path, table: pd.DataFrame, split: Split) -> None:
    predictions, evaluation = run / "predictions", run / "evaluation"
    predictions.mkdir()
    evaluation.mkdir()
    keys = table[["image_id"]].assign(
        group=table["image_id"].map(split.group), fold=table["image_id"].map(split.part), truth=table["diagnosis"]
    )
    symmetry = table["symmetry"].map({"": "", **{name.value: BinarySymmetry.of(name).value for name in Symmetry}})
    names = ["standalone-none", "se-lcn-none-none"]
    for seed, name in enumerate(names):
        write_predictions(_drawn(keys, Diagnosis.names(), seed), predictions / f"{name}.csv")
    known = keys.assign(truth=symmetry)[symmetry != ""]
    write_predictions(_drawn(known, BinarySymmetry.names(), 2), predictions / "symmetry-none.csv")
    masks = np.random.default_rng(3).random((2, len(keys), 6, 6)) > 0.5
    scored = pd.concat([keys[["image_id", "group", "fold"]], segmentation_scores(*masks)], axis=1)
    write_scores(scored[table["mask_path"] != ""].reset_index(drop=True), predictions / "segmentation.csv")
    write_figures(predictions, CONFIG.classification.variants, evaluation, resamples=100)
    for seed, head in enumerate(("symmetry", "diagnosis")):
        folder = run / "explained" / head / "scores"
        folder.mkdir(parents=True)
        masked = keys[(table["mask_path"] != "") & (keys["fold"] == max(keys["fold"]))]
        _saliency_scores(masked, head, seed).to_csv(folder / "scores.csv", index=False)
    write_saliency_figures(run, evaluation, resamples=100)


def _saliency_scores(keys: pd.DataFrame, head: str, seed: int) -> pd.DataFrame:
    """Drawn at random; the network's are a little better than those by chance."""
    generator = np.random.default_rng(seed)
    keys = keys.drop(columns="truth").assign(head=head, against="lesion", lesion_share=generator.random(len(keys)))
    kinds = {"network": 0.3, "chance": 0.0}
    return pd.concat(
        keys.assign(saliency=kind, **{score: 0.7 * generator.random(len(keys)) + more for score in LOCALISATION})
        for kind, more in kinds.items()
    )


def _drawn(keys: pd.DataFrame, classes: list[str], seed: int) -> Predictions:
    """Probabilities drawn from a seed, the truth favoured a little."""
    generator = np.random.default_rng(seed)
    truth = keys["truth"].map(classes.index).to_numpy()
    probabilities = generator.dirichlet(np.ones(len(classes)), len(keys)) + 0.3 * np.eye(len(classes))[truth]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Predictions.of(keys.assign(**dict(zip(classes, probabilities.T, strict=True))))


def _finish(run: Path, *steps: str, seconds: float) -> None:
    for step in steps:
        (run / step).mkdir(parents=True, exist_ok=True)
        (run / step / MANIFEST).write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
