# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Does saliency help?
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/does_saliency_help.ipynb)
#
# A diagnosis network that reads another network's saliency has more to look at than its twin without. Whether it predicts
# better is measured by the paired difference on the same test lesions, and against a control whose map is all zeros: what the
# zeros give as well, the saliency itself did not contribute.
#
# On synthetic lesions and with small networks: the numbers say how to measure, not whether it helps on skin.
# Where a network has hardly left chance, a difference tells of its training, not of saliency: look at both first.

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

from selcn.config import load_config
from selcn.runs.pipeline import Pipeline

logging.getLogger("selcn").setLevel(logging.WARNING)
FOLDER = Path(mkdtemp())

# %%
CONFIG = """
data: {source: phantom, images: 400, seed: 11}
split: {folds: 2, test: 0.3}
prepare: {size: [64, 48], hair: false}
networks:
  symmetry: {task: classification, labels: symmetry-binary, backbone: resnet10t, epochs: 12, batch: 16, lr: 3.0e-3}
  diagnosis: {task: classification, labels: melanoma, reads: {symmetry: concat}, backbone: resnet10t, epochs: 12, batch: 16, lr: 3.0e-3}
compare: {diagnosis: [standalone, zero]}
resamples: 500
"""
(FOLDER / "saliency.yaml").write_text(CONFIG)
run = Pipeline(load_config(FOLDER / "saliency.yaml"), FOLDER / "run").run()
list(run.graph.nodes)

# %% [markdown]
# ## Each network for itself

# %%
import pandas as pd

from selcn.evaluation import evaluate_classification

names = ["diagnosis", "diagnosis-standalone", "diagnosis-zero"]
tables = {
    name: evaluate_classification(run.predictions(name), resamples=500).query("fold_part == 'test'") for name in names
}
wanted = ["balanced_accuracy", "macro_auc", "nll"]
pd.concat(tables, names=["network"]).query("metric in @wanted")[["metric", "value", "low", "high"]].droplevel(1).round(
    3
)

# %% [markdown]
# ## Their difference, on the same lesions
# An interval that holds 0 says that this test subset cannot tell the two apart.

# %%
from selcn.evaluation import compare

others = ["diagnosis-standalone", "diagnosis-zero"]
differences = pd.concat(
    {
        other: compare(run.predictions(other), run.predictions("diagnosis"), resamples=500).query("fold_part == 'test'")
        for other in others
    },
    names=["against"],
)
differences.query("metric in @wanted")[["metric", "value", "low", "high", "p"]].droplevel(1).round(3)

# %%
from matplotlib import pyplot as plt

shown = differences.query("metric == 'balanced_accuracy'").droplevel(1).loc[others]
figure, axes = plt.subplots(figsize=(6, 1.6), layout="constrained")
axes.axvline(0, color="grey", linewidth=1)
ends = [shown["value"] - shown["low"], shown["high"] - shown["value"]]
axes.errorbar(shown["value"], shown.index, xerr=ends, fmt="o", capsize=4)
axes.set(xlabel="balanced accuracy, diagnosis minus its twin", ylim=(-0.5, 1.5))
plt.show()

# %% [markdown]
# ## Where the maps lie
# Saliency of the symmetry network against the true masks, beside chance and baselines.

# %%
from selcn.evaluation import summarise_saliency
from selcn.explain.scoring import write_saliency_scores
from selcn.runs.saliency_jobs import open_job

scores = write_saliency_scores(open_job(FOLDER / "run", network="symmetry"), FOLDER / "scores")
summarise_saliency(scores, resamples=200).query("metric in ['iou', 'pointing', 'energy']").round(3)
