"""Where the second epoch of the light preset's networks goes, in shares of its time, on synthetic images.

SqueezeNet 1.1 for symmetry at 192x144 in batches of 16, in bfloat16 where this machine trains it faster so, batches
gathered from the memory-mapped store. Beside it the same network in a plain PyTorch loop, as scripts have it: float32,
as loaded, a mirror image now and then in place of all augmentation, the loss read at each step; the same number of
training and validation images, already in memory. Alternated repeats, medians.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from selcn.config import PhantomSource, RunConfig, load_config
from selcn.models.build import build_network
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
from timing import alternated, seconds

OVERRIDES = ["lesion.epochs=1", "symmetry.weights=null", "diagnosis.weights=null"]
NETWORK, IMAGES, REPEATS = "symmetry", 400, 3


def light(images: int) -> RunConfig:
    """The preset on a phantom, with random weights."""
    config = load_config(Path("light"), OVERRIDES)
    return config.model_copy(update={"data": PhantomSource(source="phantom", images=images)})


def plain_epochs(run: Run) -> Callable[[], object]:
    """One epoch of a plain loop, of which the first has passed."""
    section = run.config.networks[NETWORK]
    network = build_network(section.spec)
    optimiser = torch.optim.AdamW(network.parameters(), section.lr)
    training, validation = len(run.training_rows(0)), len(run.fold_rows[0])
    images = torch.from_numpy(run.store.images[: training + validation]).permute(0, 3, 1, 2).float() / 255
    truth = torch.randint(2, (len(images),))

    def epoch() -> None:
        network.train()
        for rows in torch.split(torch.randperm(training), section.batch):
            batch = images[rows].flip(3) if torch.rand(()) < 0.5 else images[rows]
            optimiser.zero_grad()
            loss = F.cross_entropy(network(batch), truth[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss.item()
        network.eval()
        with torch.no_grad():
            for rows in torch.split(torch.arange(training, len(images)), section.batch):
                F.cross_entropy(network(images[rows]), truth[rows]).item()

    epoch()
    return epoch


def measure(images: int = IMAGES, repeats: int = REPEATS) -> dict[str, float]:
    """Share of each part of an epoch, and its time beside that of the loop."""
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline(light(images), Path(name) / "run")
        run, step = pipeline.prepare(), Step(Kind.TRAIN, NETWORK, 0)
        plain = plain_epochs(run)

        def parts() -> dict[str, float]:
            return {str(part): float(taken) for part, taken in pipeline.profile(run, step)[["part", "seconds"]].values}

        works: dict[str, Callable[[], dict[str, float]]] = {
            "ours": parts,
            "theirs": lambda: {"epoch": seconds(plain)},
        }
        found = alternated(works, repeats)
    middle = {part: statistics.median(one[part] for one in found["ours"]) for part in found["ours"][0]}
    ours, theirs = sum(middle.values()), statistics.median(one["epoch"] for one in found["theirs"])
    passes = sum(middle[part] for part in ("forward and loss", "backward", "validation"))
    return {
        **{f"{part}, share": taken / ours for part, taken in middle.items()},
        "seconds": ours,
        "plain loop, seconds": theirs,
        "epoch to its passes alone": ours / passes,
        "plain loop to the passes alone": theirs / passes,
        "ratio": theirs / ours,
    }


if __name__ == "__main__":
    print(measure())
