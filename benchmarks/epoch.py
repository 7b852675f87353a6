"""Where the second epoch of the light preset's networks goes, in shares of its time, on synthetic images.

SqueezeNet 1.1 for symmetry at 192x144 in batches of 16, batches gathered from the memory-mapped store.
"""

import tempfile
from pathlib import Path

from selcn.config import PhantomSource, RunConfig, load_config
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step

OVERRIDES = ["lesion.epochs=1", "symmetry.weights=null", "diagnosis.weights=null"]


def light(images: int) -> RunConfig:
    """The preset on a phantom, with random weights."""
    config = load_config(Path("light"), OVERRIDES)
    return config.model_copy(update={"data": PhantomSource(source="phantom", images=images)})


def measure() -> dict[str, float]:
    """Share of each part of an epoch."""
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline(light(400), Path(name) / "run")
        table = pipeline.profile(pipeline.prepare(), Step(Kind.TRAIN, "symmetry", 0))
    return {f"{part}, share": float(share) for part, share in zip(table["part"], table["share"], strict=True)}


if __name__ == "__main__":
    print(measure())
