# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A linear probe of a pretrained backbone
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/linear_probe.ipynb)
#
# The backbone stays as it was pretrained; its features are computed once, and only a linear head is trained on them, in
# seconds. This is how well a foundation model's features separate the classes as they are.
#
# The outputs below are of EfficientNet-Lite0, trained on ImageNet. `BACKBONE = "vit_small_patch14_dinov2"` with
# `SIZE = [154, 112]` probes DINOv2, whose weights timm downloads; a file of weights can be given by the environment variable
# `PROBE_WEIGHTS`.

# %%
# Installs selcn where it is missing, as on Colab.
# %matplotlib inline
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("selcn") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "selcn[train]"], check=True)

# %%
import logging
from pathlib import Path
from tempfile import mkdtemp

import selcn
from selcn.config import load_config
from selcn.runs.pipeline import Pipeline

logging.getLogger("selcn").setLevel(logging.WARNING)
FOLDER = Path(mkdtemp())

# %%
import os

BACKBONE, SIZE = "tf_efficientnet_lite0", [128, 96]
WEIGHTS = os.environ.get("PROBE_WEIGHTS", "imagenet")

CONFIG = f"""
data: {{source: phantom, images: 240, seed: 7}}
split: {{folds: 2, test: 0.25}}
prepare: {{size: {SIZE}, hair: false}}
networks:
  diagnosis:
    task: classification
    labels: ham10000
    backbone: {BACKBONE}
    weights: {WEIGHTS}
    freeze: true
    weighted: true
    optimiser: lbfgs
resamples: 200
"""
(FOLDER / "probe.yaml").write_text(CONFIG)
run = Pipeline(load_config(FOLDER / "probe.yaml"), FOLDER / "run").run()

# %% [markdown]
# ## What the features are worth

# %%
from selcn.evaluation import evaluate_classification

metrics = evaluate_classification(run.predictions("diagnosis"), resamples=200)
metrics[
    (metrics["fold_part"] == "test") & metrics["metric"].isin(["balanced_accuracy", "macro_auc", "auc_mel", "ece"])
].round(3)

# %%
from selcn.report import draw_curves, draw_roc

draw_roc(run.predictions("diagnosis")).figure

# %% [markdown]
# ## How the head was trained

# %%
draw_curves("diagnosis", run.curves("diagnosis")).figure

# %% [markdown]
# ## It predicts and explains like any other network
# The saliency of a frozen backbone is exact as well, since the head is linear in its features.

# %%
from PIL import Image

from selcn.data.imaging.read import read_image

image = read_image(Path(run.table["image_path"].iloc[run.test_rows[0]]))
Image.fromarray(selcn.draw_overlay(image, selcn.load(FOLDER / "run" / "bundle").predict(image)))
