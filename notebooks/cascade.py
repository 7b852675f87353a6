# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The cascade on one image
# [Open in Colab](https://colab.research.google.com/github/selcn/selcn/blob/main/notebooks/cascade.ipynb)
#
# An image goes through the networks one after the other: the lesion's outline, whether the lesion is symmetric, a Grad-CAM++
# map of where the evidence for that lies, and a diagnosis by a network that reads the map. The image is a CC0 one of the ISIC
# archive that comes with selcn; the weights are those that ship with it, trained on HAM10000.
#
# **Research tool, not a medical device.** The weights are for non-commercial research (CC BY-NC 4.0); how well they predict,
# and on what they fail, is in their [model card](https://github.com/selcn/selcn/blob/main/bundles/ham10000/README.md).

# %%
# Installs selcn where it is missing, as on Colab.
# %matplotlib inline
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("selcn") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "selcn[train]"], check=True)

# %%
from PIL import Image

import selcn
from selcn.data.imaging.read import read_image
from selcn.data.samples import dermoscopy_samples

sample = dermoscopy_samples()[1]
image = read_image(sample.path)
print(sample.isic_id, "confirmed as", sample.diagnosis)
Image.fromarray(image)

# %% [markdown]
# ## All steps at once
# `selcn.load()` takes the weights that ship; with the folder of a bundle, or `hf://owner/name` on the Hugging Face hub, it
# takes those. A path, an array or an image of Pillow can be predicted.

# %%
predictor = selcn.load()
prediction = predictor.predict(image)
Image.fromarray(selcn.draw_overlay(image, prediction))

# %% [markdown]
# Left to right: the lesion's outline, where the evidence of the symmetry class lies, and where that of the diagnosis lies.

# %% [markdown]
# ## Outline
# A mask of the size of the image, and the share of the image that it covers.

# %%
prediction.lesion.mask.shape, round(float(prediction.lesion.mask.mean()), 3)

# %% [markdown]
# ## Symmetry, and its map
# The map is a coarse grid: of each cell it tells how much it speaks for the predicted class.

# %%
symmetry = prediction["symmetry"]
print(symmetry.prediction, {name: round(value, 3) for name, value in symmetry.probabilities.items()})
symmetry.saliency.shape

# %% [markdown]
# ## Diagnosis
# Probabilities are calibrated. The prediction is the class that the networks find most probable before calibration, which
# weighs rare classes up, so that it need not be the one with the highest probability. `set` holds the truth for nine of ten
# images of each class, of lesions like those of the training; a prediction may abstain, and warn of what is unusual.

# %%
diagnosis = prediction["diagnosis"]
print(diagnosis.prediction, {name: round(value, 3) for name, value in diagnosis.probabilities.items()})
print("set:", prediction.set, "abstains:", prediction.abstain, "warnings:", prediction.warnings)

# %% [markdown]
# ## If the symmetry were known
# What a dermatologist gives goes before what a network predicts, and what depends on it follows: the map of the given class
# is what the diagnosis network reads then.

# %%
other = next(name for name in symmetry.probabilities if name != symmetry.prediction)
given = predictor.predict(image, selcn.Given(classes={"symmetry": other}))
print("given", other, {name: round(value, 3) for name, value in given["diagnosis"].probabilities.items()})
Image.fromarray(selcn.draw_overlay(image, given))
