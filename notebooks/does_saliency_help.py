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
# Six epochs are few, too: where a network has hardly left chance, a difference tells of its training, not of saliency.

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
data: {source: phantom, images: 240, seed: 11}
split: {folds: 2, test: 0.3}
prepare: {size: [96, 72], hair: false}
networks:
  symmetry: {task: classification, labels: symmetry-binary, backbone: resnet10t, epochs: 8, batch: 16, lr: 3.0e-3}
  diagnosis: {task: classification, labels: ham10000, reads: {symmetry: concat}, backbone: resnet10t, epochs: 6, batch: 16, lr: 3.0e-3}
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

for other in ("diagnosis-standalone", "diagnosis-zero"):
    table = compare(run.predictions(other), run.predictions("diagnosis"), resamples=500)
    print(f"diagnosis against {other}")
    print(
        table[(table["fold_part"] == "test") & table["metric"].isin(wanted)].round(3).to_string(index=False), end="\n\n"
    )

# %% [markdown]
# ## Where the maps lie
# Saliency of the symmetry network against the true masks, beside chance and baselines.

# %%
from selcn.evaluation import summarise_saliency
from selcn.explain.scoring import write_saliency_scores
from selcn.runs.saliency_jobs import open_job

scores = write_saliency_scores(open_job(FOLDER / "run", network="symmetry"), FOLDER / "scores")
summarise_saliency(scores, resamples=200).query("metric in ['iou', 'pointing', 'energy']").round(3)
