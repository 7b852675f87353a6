"""How much the diagnosis of the bundle that ships depends on the symmetry saliency that it reads.

python docs/results/reading.py RUN BUNDLE   # predicts 200 test images with other saliency; writes ham10000-reading.csv
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import selcn
from score import load
from selcn.data.imaging.read import read_image
from selcn.evaluation.intervals import Estimate, bootstrap
from selcn.runs.run import open_run
from tables import markdown

FILE = Path(__file__).parent / "ham10000-reading.csv"
IMAGES, BATCH, SOURCE = 200, 20, "symmetry"
SHOWN = {"change": "largest change of a probability", "changed": "changed predictions"}


def others(saliency: np.ndarray) -> Mapping[str, np.ndarray]:
    """Maps in place of the predicted ones, (N, h, w) each."""
    noise = np.random.default_rng(0).random(saliency.shape, dtype=np.float32)
    return {"zeros": np.zeros_like(saliency), "another image's": np.roll(saliency, 1, axis=0), "noise": noise}


def measure(run: Path, bundle: Path) -> pd.DataFrame:
    """A row an image and kind of saliency: the largest change of a probability, and whether the prediction changed."""
    opened, predictor = open_run(run), load(bundle)
    tested = opened.table.iloc[opened.test_rows].sample(IMAGES, random_state=0)
    groups, rows = tested["image_id"].map(opened.split.group).to_list(), list[dict[str, object]]()
    for start in range(0, IMAGES, BATCH):
        images = [read_image(Path(path)) for path in tested["image_path"].iloc[start : start + BATCH]]
        usual = predictor.predict_batch(images)
        for kind, maps in others(np.stack([one[SOURCE].saliency for one in usual])).items():
            given = [selcn.Given(saliency={SOURCE: one}) for one in maps]
            for row, (a, b) in enumerate(zip(usual, predictor.predict_batch(images, given), strict=True), start):
                p, q = (list(one[predictor.config.target].probabilities.values()) for one in (a, b))
                changed = a[predictor.config.target].prediction != b[predictor.config.target].prediction
                rows.append({"saliency": kind, "group": groups[row], "change": np.subtract(p, q), "changed": changed})
    table = pd.DataFrame(rows)
    return table.assign(change=[float(np.abs(one).max()) for one in table["change"]])


def hardly() -> str:
    """What zeros in place of the saliency change, in words."""
    found = pd.read_csv(FILE).query("saliency == 'zeros'")
    changed, most = int(found["changed"].sum()), found["change"].max()
    count = f"{changed} of {len(found)} predictions change ({100 * _exact(found)[1]:.1f} % at most)"
    return f"with zeros in place of its saliency {count}, no probability of these by over {most:.3f}"


def reading_section() -> list[str]:
    """The page's section."""
    rows = []
    for kind, found in pd.read_csv(FILE).groupby("saliency", sort=False):
        means = bootstrap(partial(_means, found), found["group"].reset_index(drop=True))
        if not found["changed"].any():  # whose resamples are all alike
            means["changed"] = Estimate(0.0, *_exact(found))
        cells = {title: _precise(means[name]) for name, title in SHOWN.items()}
        rows.append({"in place of its saliency": kind, **cells, "at most": f"{found['change'].max():.4f}"})
    return [TEXT.format(images=IMAGES), markdown(pd.DataFrame(rows))]


def _exact(found: pd.DataFrame) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of the share of lesions whose prediction changed."""
    ends = binomtest(int(found.groupby("group")["changed"].any().sum()), found["group"].nunique()).proportion_ci()
    return float(ends.low), float(ends.high)


def _means(found: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    return {name: weights @ found[name].to_numpy(dtype=float) / weights.sum(axis=1) for name in SHOWN}


def _precise(mean: Estimate) -> str:
    return f"{mean.value:.4f} ({mean.low:.4f} to {mean.high:.4f})"


TEXT = """### Does it read the saliency?

    python docs/results/reading.py runs/ham10000 exported

{images} images of the test subset, sampled at random, with other maps in place of the symmetry saliency that the
diagnosis network of the bundle reads: means over images, 95 % intervals by lesion, exact ones where no prediction
changed. The trained network hardly reads it: a difference from a twin above is not one of what it reads when it
predicts. Its E-layer starts as the identity ([why](adr/0006-identity-e-layer.md)), and these trainings left it near to
that."""


if __name__ == "__main__":
    measure(*map(Path, sys.argv[1:3])).to_csv(FILE, index=False)
