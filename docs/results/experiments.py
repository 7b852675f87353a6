"""Writes docs/experiments.md from `experiments.csv`; a part of `python docs/results/make.py`."""

import json
import re
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score

from selcn.evaluation.predictions import read_predictions
from selcn.labels import HAM10000
from speed import MEASURED, title
from tables import markdown
from transfer import ARM, RUN

TRIED = Path(__file__).parent / "experiments.csv"
PAGE = Path(__file__).parents[1] / "experiments.md"


def page() -> str:
    """The whole page."""
    tried = pd.read_csv(TRIED, dtype=str, keep_default_na=False)
    first, second = _of_the_folds("0", "1")
    introduction = INTRODUCTION.format(first=first, second=second)
    return "\n\n".join([introduction, markdown(tried), f"{LOG}\n{_eight_bits()}"]) + "\n"


def _of_the_folds(*folds: str) -> list[float]:
    """Balanced accuracy of the diagnosis of the run that ships on validation folds."""
    table = read_predictions(RUN / f"{ARM}.parquet", HAM10000).table
    predicted = table[list(HAM10000.names)].idxmax(axis=1)
    return [
        float(balanced_accuracy_score(table["truth"][table["fold"] == fold], predicted[table["fold"] == fold]))
        for fold in folds
    ]


def _eight_bits() -> str:
    """What 8 bits do to the classifiers of the bundle that ships, as measured."""
    rows = pd.DataFrame(json.loads(MEASURED.read_text(encoding="utf-8")))
    values = rows[rows["benchmark"] == title("int8")].set_index("figure")["value"].astype(float)
    images, shares, times = int(values.loc["images"]), values.filter(regex="share$"), values.filter(regex="ms$")
    told = []
    for name, share in shares.items():
        ends = binomtest(round(share * images), images).proportion_ci(method="wilson")
        told.append(f"{re.sub(':.*', '', str(name))} {share:.3f} ({ends.low:.3f} to {ends.high:.3f})")
    longer = times.drop("32 bits, ms") / times.loc["32 bits, ms"]
    return EIGHT_BITS.format(images=images, told="; ".join(told), least=longer.min(), most=longer.max())


INTRODUCTION = """# Experiments

What was tried on the way to the networks of the [protocol](protocol.md), whether it was kept or not. Metrics are of
validation folds, and have no intervals: they chose, and are no results; the 24 images of the warning alone hold five of
the test subset. Of variants on two folds the mean is given; the diagnosis that ships, which reads saliency, has
{first:.3f} on fold 0 and {second:.3f} on fold 1 at its best epochs. Of what was not kept no run is stored but
`ham10000-metadata`, nor are runs on the earlier split: their rows were entered from the logs; no file repeats them."""

LOG = """## What did not work
- **Choosing the symmetry epoch by validation loss** on some 400 training images: the loss was lowest at an early epoch
  whose balanced accuracy was below that of later ones. `configs/ham10000-small.yaml` monitors the score and weights the
  loss.
- **Filling each subset only by what its strata lack** left a small test subset without rare diagnoses. A subset that
  has no image of a class now comes first.
- **Seeding dropout by epoch**: a resumed training sampled other values than an unbroken one, since making a data loader
  draws from the same generator. Each step is seeded now, and a test compares the weights.
- **SqueezeNet 1.1 and LCNet from random weights** stayed at chance for symmetry in the demo's few minutes on some 300
  synthetic images. The demo uses a ResNet-10-T; its saliency is a grid of 3x3, coarse beside the 11x8 of SqueezeNet on
  HAM10000.
- **Sensitivity for melanoma** did not rise with the E-layer on some 1,000 lesions of HAM10000, though balanced accuracy
  did ([Results](results.md))."""

EIGHT_BITS = """- **Classifiers in 8 bits** (`python benchmarks/int8.py`), of a bundle of the earlier split:
  of {images} images of HAM10000 the share with the diagnosis of 32 bits is, with 95 % intervals:
  {told}.
  An image takes {least:.2f} to {most:.2f} times as long as with 32 bits, on a CPU with instructions for 8 bits.
  `selcn export BUNDLE --int8 IMAGES` quantizes the segmentation networks alone."""
