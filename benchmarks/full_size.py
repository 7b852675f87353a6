"""Two training steps of each stage of the thesis preset at its full sizes, from random weights.

DeepLabV3+ on Xception-65 and batches of 32 at 256x256, SqueezeNet 1.0 and batches of 8, EfficientNet-B4 with the
E-layer and batches of 32. The pictures are synthetic.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from selcn.config import load_config
from selcn.data.catalog import read_catalog
from selcn.data.phantom import write_phantom
from selcn.data.store.build import build_store
from selcn.labels import BinarySymmetry, Diagnosis, Masking
from selcn.runs.predictions import symmetry_names
from selcn.tasks.stages import ClassificationStage, SegmentationStage, Stage, SymmetryStage, class_numbers
from selcn.training.trainer import fit

STEPS = 2
OVERRIDES = [
    f"{stage}.{key}" for stage in ("segmentation", "symmetry", "classification") for key in ("weights=null", "epochs=1")
]


def measure() -> dict[str, float]:
    """Seconds of two steps with one batch of validation, and the peak of memory."""
    config = load_config(Path("thesis"), [*OVERRIDES, "classification.balance=null"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = read_catalog(write_phantom(folder / "phantom", images=96, seed=0, size=config.prepare.size))
        store = build_store(table, folder / "store", size=config.prepare.size, hair=False)
        symmetry = class_numbers(
            list(symmetry_names(table["symmetry"], BinarySymmetry.names())), BinarySymmetry.names()
        )
        diagnosis = class_numbers(list(table["diagnosis"]), Diagnosis.names())
        variant = config.classification.variants[1]
        stages: dict[str, Stage] = {
            "segmentation": SegmentationStage(config.segmentation, store),
            "symmetry": SymmetryStage(config.symmetry.of(Masking.LAE), store, store.masks, symmetry, Masking.LAE),
            "classification": ClassificationStage(
                config.classification.of(variant),
                store,
                store.masks,
                torch.rand(len(table), 15, 15).numpy(),
                diagnosis,
                variant,
            ),
        }
        seconds = {}
        for stage_name, stage in stages.items():
            start = time.perf_counter()
            rows = np.arange(STEPS * stage.section.batch)
            fit(stage, rows, np.arange(64, 96), folder / stage_name, seed=0)
            seconds[f"{stage_name}, seconds"] = time.perf_counter() - start
    return {**seconds, "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(measure())
