# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Your own images from a folder
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/own_data.ipynb)
#
# Images and a table of labels are enough: index them, look at what is wrong with them, split them by lesion, train, and read
# the metrics. Here the folder is filled with synthetic lesions; put your own in its place.

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
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

logging.getLogger("selcn").setLevel(logging.WARNING)
FOLDER = Path(mkdtemp())

# %% [markdown]
# ## A folder of images, and a table
# A row an image: its name, the diagnosis as people write it, and the lesion, since several images of one lesion must not be
# divided. Without a table, a folder a class does, and each image is taken for a lesion of its own.

# %%
from selcn.data.catalog import read_catalog
from selcn.data.phantom import write_phantom

drawn = read_catalog(write_phantom(FOLDER / "drawn", images=400, seed=5, size=(96, 72), jobs=1))
chosen = drawn[drawn["diagnosis"].isin(["nv", "mel"])]
(FOLDER / "images").mkdir()
for path in chosen["image_path"]:
    shutil.copy(path, FOLDER / "images")
labels = chosen[["image_id", "diagnosis", "lesion_id"]].replace({"nv": "melanocytic nevus", "mel": "melanoma"})
labels.to_csv(FOLDER / "labels.csv", index=False)
labels.head()

# %% [markdown]
# ## Index and audit
# In a terminal: `selcn index folder images/ --labels labels.csv --out catalog.csv`, then `selcn audit catalog.csv`.

# %%
from selcn.data.sources.folder import index_folder

found = index_folder(FOLDER / "images", labels=FOLDER / "labels.csv")
catalog = FOLDER / "catalog.csv"
found.table.to_csv(catalog, index=False)
found.table[["image_id", "diagnosis", "lesion_id"]].head()

# %%
from selcn.data.audit import audit

audit(found.table, {}, jobs=1).summary()[["kind", "severity", "images"]]

# %% [markdown]
# ## Train
# Without masks and symmetry labels the graph is one classifier. The split keeps all images of a lesion together.

# %%
from selcn.config import load_config
from selcn.data.splits.split import count_table
from selcn.runs.pipeline import Pipeline

CONFIG = f"""
data: {{source: catalog, path: {catalog}}}
split: {{folds: 2, test: 0.25}}
prepare: {{size: [64, 48], hair: false}}
networks:
  diagnosis:
    task: classification
    labels: melanoma
    backbone: resnet10t
    epochs: 15
    batch: 16
    lr: 3.0e-3
    weighted: true
resamples: 200
"""
(FOLDER / "own.yaml").write_text(CONFIG)
run = Pipeline(load_config(FOLDER / "own.yaml"), FOLDER / "run").run()
count_table(run.split, run.table)

# %% [markdown]
# ## Metrics
# `FOLDER / "run" / "report.html"` is what `selcn report` writes; here are its numbers.

# %%
metrics = pd.read_csv(FOLDER / "run" / "evaluation" / "diagnosis.csv")
metrics[(metrics["fold_part"] == "test")].round(3).head(8)

# %%
from selcn.report import draw_roc

draw_roc(run.predictions("diagnosis")).figure
