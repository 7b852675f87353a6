"""Scores a run's bundle on images that none of its networks has seen, and keeps what it predicted.

python docs/results/score.py RUN BUNDLE PH2.csv ISIC2017.csv OUT

Images are the run's test subset, PH2, and ISIC 2017; the catalogs are those of `selcn index ph2` and `isic`.
ISIC 2017 has three diagnoses, of which keratoses are no class of HAM10000: its images are scored as melanoma against
the rest, and as keratosis (bkl) against the rest.

OUT/SET-NETWORK.parquet: per image, with the truth, images of PH2 numbered in place of their names; OUT/scores.csv:
metrics with 95 % intervals.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import selcn
from selcn.data.catalog import groups, read_catalog
from selcn.data.imaging.read import read_image
from selcn.evaluation.evaluate import evaluate_file
from selcn.inference.bundle import Engine
from selcn.inference.predictor import Predictor
from selcn.labels import TEST
from selcn.runs.bundle_scores import score_bundle
from selcn.runs.folder import MANIFEST
from selcn.runs.run import open_run

ONE_AGAINST_REST = {"mel": "mel", "bkl": "seborrheic-keratosis"}
"""Classes of the bundle, and their names in ISIC 2017."""
REST = "rest"
NUMBERED = "ph2"
"""Whose images are numbered: published for research and benchmarking, so that no list of its labels is made."""
BATCH = 32


def load(bundle: Path) -> Predictor:
    """The bundle in ONNX Runtime where it was exported: several times as fast on a CPU, and the same to 1e-4."""
    return selcn.load(bundle, engine=Engine.ONNX if (bundle / Engine.ONNX).is_dir() else Engine.TORCH)


def score_known(predictor: Predictor, bundle: Path, table: pd.DataFrame, prefix: str, out: Path) -> None:
    """Keep what every network predicts of images with its truth."""
    with TemporaryDirectory() as work:
        scores = score_bundle([predictor], bundle, table, Path(work), resamples=1)
        for name in scores.metrics["network"].unique():
            keep(pd.read_csv(Path(work) / f"{name}.csv"), out / f"{prefix}-{name}.parquet")


def score_one_against_rest(predictor: Predictor, table: pd.DataFrame, prefix: str, out: Path) -> None:
    """Keep the probability of single classes of images with a diagnosis."""
    table = table[table["diagnosis"] != ""].reset_index(drop=True)
    found: list[dict[str, float]] = []
    for start in range(0, len(table), BATCH):
        images = [read_image(Path(path)) for path in table["image_path"][start : start + BATCH]]
        found += [dict(one[predictor.config.target].probabilities) for one in predictor.predict_batch(images)]
    probabilities = pd.DataFrame(found)
    keys = pd.DataFrame({"image_id": table["image_id"], "group": groups(table), "fold": TEST})
    for name, theirs in ONE_AGAINST_REST.items():
        truth = table["diagnosis"].eq(theirs).map({True: name, False: REST})
        values = {"truth": truth, name: probabilities[name], REST: 1 - probabilities[name]}
        keep(keys.assign(**values), out / f"{prefix}-{name}.parquet")


def keep(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet with numbers in 32 bits."""
    if path.stem.startswith(NUMBERED):
        numbers = pd.Series(range(len(table)), index=table.index).map("{:04}".format)
        table = table.assign(image_id=numbers, group=numbers)
    floats = table.select_dtypes("float").columns
    table.astype(dict.fromkeys(floats, "float32")).to_parquet(path, index=False, compression="zstd")


def keep_seconds(run: Path, path: Path) -> None:
    """Write how long each finished step of a run took."""
    steps = {
        str(file.parent.relative_to(run)): json.loads(file.read_text(encoding="utf-8"))["seconds"]
        for file in run.rglob(MANIFEST)
        if ".work" not in file.parts
    }
    pd.Series(steps, name="seconds").rename_axis("step").sort_index().to_csv(path)


def main(run: Path, bundle: Path, ph2: Path, isic: Path, out: Path) -> None:
    """Score the bundle on all three; write predictions and metrics."""
    out.mkdir(parents=True, exist_ok=True)
    predictor, opened = load(bundle), open_run(run)
    tested = opened.table.iloc[opened.test_rows].reset_index(drop=True)
    score_known(predictor, bundle, tested, "test", out)
    score_known(predictor, bundle, read_catalog(ph2), "ph2", out)
    score_one_against_rest(predictor, read_catalog(isic), "isic2017", out)
    files = sorted(out.glob("*.parquet"))
    pd.concat([evaluate_file(file).assign(file=file.stem) for file in files]).to_csv(out / "scores.csv", index=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:6]))
