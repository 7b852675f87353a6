"""Two training steps of each stage of the thesis preset at its full sizes, from random weights.

DeepLabV3+ on Xception-65 and batches of 32 at 256x256, SqueezeNet 1.0 and batches of 8, EfficientNet-B4 with the
E-layer and batches of 32. The images are synthetic.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from selcn.config import ClassificationSection, SegmentationSection, load_config
from selcn.data.catalog import read_catalog
from selcn.data.datasets import Sources
from selcn.data.phantom import write_phantom
from selcn.data.store.build import build_store
from selcn.tasks.classification import ClassificationTask
from selcn.tasks.segmentation import SegmentationTask
from selcn.training.trainer import fit

IMAGES, VALIDATION, STEPS = 96, 32, 2
OVERRIDES = [
    "symmetry.masking=lae",
    "diagnosis.balance=null",
    *(f"{network}.{key}" for network in ("lesion", "symmetry", "diagnosis") for key in ("weights=null", "epochs=1")),
]


def measure() -> dict[str, float]:
    """Seconds of two steps with one batch of validation, and the peak of memory."""
    config = load_config(Path("thesis"), OVERRIDES)
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = read_catalog(write_phantom(folder / "phantom", images=IMAGES, seed=0, size=config.prepare.size))
        store = build_store(table, folder / "store", size=config.prepare.size, hair=False)
        saliency = torch.rand(IMAGES, 15, 15).numpy()
        for network in config.graph.with_needs(config.graph.target):
            section = config.graph.nodes[network].section
            task: SegmentationTask | ClassificationTask
            if isinstance(section, SegmentationSection):
                task, sources = SegmentationTask(network, section), Sources(store, store.masks)
            else:
                assert isinstance(section, ClassificationSection)
                labels = np.array(section.labels.numbers(table[section.labels.column]))
                task = ClassificationTask(network, section)
                sources = Sources(store, store.masks, (saliency,) * len(section.reads), labels)
            rows = np.arange(STEPS * section.batch)
            start = time.perf_counter()
            fit(task, sources, rows, np.arange(IMAGES - VALIDATION, IMAGES), folder / network, seed=0)
            seconds[f"{network}, seconds"] = time.perf_counter() - start
    return {**seconds, "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(measure())
