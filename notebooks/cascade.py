# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The cascade on one image
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/cascade.ipynb)
#
# An image goes through the networks one after the other: the lesion's outline, whether the lesion is symmetric, a Grad-CAM++
# map of where that answer comes from, and a diagnosis by a network that reads the map. First a small cascade is trained on
# synthetic lesions, in a minute or two; with a bundle of your own, start at the third part.
#
# **Research tool, not a medical device.** The networks below have seen drawings alone: what they say of skin means nothing.

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

# %% [markdown]
# ## A run, in one YAML file
# Every network is trained on two folds, and each reads only what networks said that had not seen the lesion.

# %%
CONFIG = """
data: {source: phantom, images: 240, seed: 7}
split: {folds: 2, test: 0.25}
prepare: {size: [96, 72], hair: false}
networks:
  lesion: {task: segmentation, architecture: Unet, encoder: tu-mobilenetv3_small_050, size: [96, 64], epochs: 5, batch: 16, lr: 5.0e-3}
  symmetry: {task: classification, labels: symmetry-binary, masking: lae, backbone: resnet10t, epochs: 8, batch: 16, lr: 3.0e-3}
  diagnosis: {task: classification, labels: ham10000, reads: {symmetry: concat}, backbone: resnet10t, epochs: 8, batch: 16, lr: 3.0e-3}
resamples: 200
"""
(FOLDER / "small.yaml").write_text(CONFIG)
run = Pipeline(load_config(FOLDER / "small.yaml"), FOLDER / "run").run()

# %% [markdown]
# ## What it is worth
# Metrics of the test subset, whose lesions no network has seen, with 95 % intervals that resample lesions.

# %%
from selcn.evaluation import evaluate_classification

metrics = evaluate_classification(run.predictions("diagnosis"), resamples=200)
metrics[(metrics["fold_part"] == "test") & metrics["metric"].isin(["balanced_accuracy", "macro_auc", "auc_mel"])].round(
    3
)

# %% [markdown]
# ## One image
# `selcn.load` takes the folder of any bundle, or `hf://owner/name` on the Hugging Face hub.

# %%
from selcn.data.imaging.read import read_image

predictor = selcn.load(FOLDER / "run" / "bundle")
path = Path(run.table["image_path"].iloc[run.test_rows[3]])
image = read_image(path)
prediction = predictor.predict(image)
{name: round(value, 3) for name, value in prediction["diagnosis"].probabilities.items()}

# %%
prediction["diagnosis"].prediction, prediction["symmetry"].prediction, prediction.abstain, prediction.warnings

# %%
from PIL import Image

Image.fromarray(selcn.draw_overlay(image, prediction))

# %% [markdown]
# ## If the mask were known
# A result that is given goes before a predicted one, and what depends on it follows. The network above said `symmetric` itself, so nothing changes here; give `asymmetric`.

# %%
known = predictor.predict(image, selcn.Given(classes={"symmetry": "symmetric"}))
{name: round(value, 3) for name, value in known["diagnosis"].probabilities.items()}
