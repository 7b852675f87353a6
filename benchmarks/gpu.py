"""The thesis' networks on a GPU: training in bfloat16 beside float32, its idle share, and prediction; synthetic images.

    python benchmarks/gpu.py [--images 512] [--encoder tu-xception65]

Images a second of a whole second epoch, validation included, random weights, each network at the batch of its recipe;
the idle share is that of the third epoch in which no kernel runs on the GPU, by torch's profiler. Prediction is that of
an untrained bundle of one member, 600x450 images in memory to masks, classes and saliency. It runs on a CPU, too, where
the idle share is not measured.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import selcn
from selcn.config import PhantomSource, load_config
from selcn.inference.assembly import write_bundle
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.models.build import build_network
from selcn.models.cascade import Cascade
from selcn.models.ensemble import Ensemble
from selcn.runs.out_of_fold import write_outputs
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
from selcn.training.compute import Compute
from selcn.training.trainer import fit

RANDOM = [
    "lesion.weights=null",
    "symmetry.weights=null",
    "diagnosis.weights=null",
    "compare={}",
    "split={folds: 2, test: 0.1}",
]
BATCH, ROUNDS = 32, 8


class Epochs:
    """The time of a training's second epoch, and the time in which kernels run in its third."""

    def __init__(self, compute: Compute) -> None:
        self.cuda = compute.device.type == "cuda"
        self.ends: list[float] = []
        self.watch: profile | None = None
        self.began = 0.0

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        """Called by the trainer after each epoch."""
        del values
        if self.cuda:
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        if epoch == 3 and self.watch:
            self.watch.stop()
        if epoch == 2 and self.cuda:
            self.watch = profile(activities=[ProfilerActivity.CUDA])
            self.watch.start()
            self.began = time.perf_counter()  # the profiler takes seconds to start, in which the GPU idles

    @property
    def idle(self) -> float:
        """Share of the third epoch in which no kernel ran; NaN on a CPU."""
        if not self.watch:
            return float("nan")
        spans = sorted((e.time_range.start, e.time_range.end) for e in self.watch.events() or ())  # type: ignore[no-untyped-call]
        busy, until = 0.0, 0.0
        for start, end in spans:
            busy += max(0.0, end - max(start, until))
            until = max(until, end)
        return 1 - busy / 1e6 / (self.ends[2] - self.began)


def train(run: Run, network: str, precision: str, compute: Compute) -> Epochs:
    """Three epochs of a network without its first fold."""
    task = run.task(network, 0)
    section = task.section.model_copy(update={"epochs": 3, "patience": 3, "precision": precision, "balance": None})
    timed = Epochs(compute)
    rows = run.training_rows(0), run.fold_rows[0]
    with tempfile.TemporaryDirectory() as folder:
        short = replace(task, section=section)  # type: ignore[type-var]
        fit(short, run.sources(network), *rows, Path(folder), seed=0, compute=compute, on_epoch=timed)
    return timed


def predicted(run: Run, device: torch.device) -> float:
    """Images a second of `selcn.load(BUNDLE, DEVICE).predict_batch`."""
    specs = {name: node.section.spec for name, node in run.graph.nodes.items()}
    members = Ensemble([Cascade(specs, {name: build_network(spec) for name, spec in specs.items()})])
    prepare = Preparation(size=run.config.prepare.size, hair=run.config.prepare.hair)
    config = BundleConfig(
        selcn="", name="bench", prepare=prepare, networks=specs, target=run.graph.target, members=1, split=""
    )
    images = [*np.random.default_rng(0).integers(0, 255, (BATCH, 450, 600, 3), dtype=np.uint8)]
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(Path(folder), config, members.eval())
        predictor = selcn.load(folder, str(device))
    predictor.predict_batch(images)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        predictor.predict_batch(images)
    return BATCH * ROUNDS / (time.perf_counter() - start)


def measure(images: int = 512, encoder: str = "tu-xception65", *overrides: str) -> dict[str, float]:
    """Images a second of each network in both precisions, and of prediction; keys of the preset may be overridden."""
    compute, found = Compute(), dict[str, float]()
    config = load_config(Path("thesis"), [*RANDOM, f"lesion.encoder={encoder}", *overrides])
    config = config.model_copy(update={"data": PhantomSource(source="phantom", images=images)})
    with tempfile.TemporaryDirectory() as folder:
        run = Pipeline(config, Path(folder) / "run").prepare()
        for network in run.graph.nodes:
            for precision in ("float32", "bfloat16"):
                timed = train(run, network, precision, compute)
                speed = (len(run.training_rows(0)) + len(run.fold_rows[0])) / (timed.ends[1] - timed.ends[0])
                found[f"{network}, {precision}, images/s"] = speed
                found[f"{network}, {precision}, GPU idle, share"] = timed.idle
                line = f"{network}, {precision}: {speed:.4g} images/s, idle {timed.idle:.4g}"
                print(line, file=sys.stderr, flush=True)  # a GPU that is lent by the minute may be gone before the end
            found[f"{network}, ratio"] = speed / found[f"{network}, float32, images/s"]
            if run.graph.is_read(network):
                _random_outputs(run, network, compute)
        found["prediction, images/s"] = predicted(run, compute.device)
    return found


def _random_outputs(run: Run, network: str, compute: Compute) -> None:
    """Saliency of an untrained network, for those that read it."""
    from safetensors.torch import save_file

    for fold in range(run.split.folds):
        folder = run.folder.training(network, fold)
        folder.mkdir(parents=True)
        save_file(build_network(run.graph.nodes[network].section.spec).state_dict(), folder / "network.safetensors")
    out = run.folder.step(Step(Kind.OUTPUTS, network))
    out.mkdir(parents=True)
    write_outputs(run, network, out, compute.device, lambda *_: None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--encoder", default="tu-xception65")
    given = parser.parse_args()
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(card, measure(given.images, given.encoder))
