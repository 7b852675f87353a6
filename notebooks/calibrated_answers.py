# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Calibrated and conformal answers
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/calibrated_answers.ipynb)
#
# A probability of 0.9 should be right nine times in ten, and a set of classes that is said to hold the truth for 90 % of the
# images should do so. Both are fitted to out-of-fold predictions, and measured on test lesions.

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
data: {source: phantom, images: 400, seed: 3}
split: {folds: 2, test: 0.3}
prepare: {size: [64, 48], hair: false}
networks:
  diagnosis: {task: classification, labels: melanoma, backbone: resnet10t, epochs: 12, batch: 16, lr: 3.0e-3}
resamples: 200
"""
(FOLDER / "calibrated.yaml").write_text(CONFIG)
run = Pipeline(load_config(FOLDER / "calibrated.yaml"), FOLDER / "run").run()
predictions = run.predictions("diagnosis")
predictions.table.head(3)

# %% [markdown]
# ## Calibration
# All logits are divided by one temperature (Guo et al. 2017) and raised by a bias a class (Alexandari et al. 2020), both fitted
# to the folds; the predicted classes stay the same.

# %%
from selcn.evaluation import evaluate_classification, fit_recalibration

recalibration = fit_recalibration(predictions)
recalibration

# %%
import pandas as pd

both = {"as predicted": predictions, "calibrated": recalibration.of(predictions)}
tables = {name: evaluate_classification(one, resamples=200).query("fold_part == 'test'") for name, one in both.items()}
pd.concat(tables).query("metric in ['ece', 'nll', 'brier', 'accuracy']")[["metric", "value", "low", "high"]].droplevel(
    1
).round(3)

# %%
from selcn.report import draw_reliability, draw_risk_coverage

draw_reliability(predictions).figure

# %% [markdown]
# ## Sets that hold the truth
# For each class apart, so that the rare one is covered as well (Mondrian conformal prediction).

# %%
from selcn.evaluation import fit_prediction_sets, prediction_set_table

fit_prediction_sets(predictions, 0.9)

# %%
columns = ["of", "images", "coverage", "coverage_low", "coverage_high", "set_size", "empty_sets"]
prediction_set_table(predictions, 0.9, resamples=200)[columns].round(3)

# %% [markdown]
# ## Rather no answer than a wrong one
# Errors among the most confident predictions: leaving out the least confident images lowers the risk of the others.

# %%
draw_risk_coverage({"diagnosis": predictions}).figure
