"""What the saliency of a run's or bundle's classifiers is worth, as files; resumable.

```
OUT/
  NAME/scores.csv  one row an image and kind of map, see `selcn.explain.quality`; plan.json beside it
  quality.csv      means with 95 % intervals by lesion, and paired differences of the network's map from the others
  quality.json     the same
```
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from selcn.errors import ConfigError
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.saliency_quality import saliency_quality_table
from selcn.explain.explainers import ClassExplainer
from selcn.explain.job import SaliencyJob
from selcn.explain.quality import IMAGES, Beside, write_quality_scores
from selcn.io.files import write_text
from selcn.io.progress import OnProgress
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run
from selcn.runs.saliency_jobs import open_job

TABLE, SUMMARY = "quality.csv", "quality.json"


@dataclass(frozen=True)
class QualityOptions:
    """What is explained, and what it is compared with.

    Attributes:
        images: a catalog, or images and folders, for a bundle; empty for a run's own.
        networks: names of classifiers; empty for the target, and for those whose saliency it reads, in a run.
        against: other runs of the same split, such as other seeds, whose maps of the same networks are compared.
        method: name of a saliency method; None for the networks' own.
        layer: name of a layer, see `selcn.explain.layers`; None for the head's input.
        count: number of images, sampled at random from the test subset, where there is one.
    """

    images: Sequence[Path] = ()
    networks: Sequence[str] = ()
    against: Sequence[Path] = ()
    method: str | None = None
    layer: str | None = None
    count: int = IMAGES


def measure_saliency_quality(
    source: Path | str,
    out: Path | str,
    options: QualityOptions | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Measure faithfulness, stability, sanity and symmetry of saliency, and write them.

    Args:
        source: a run, the folder of one of its networks, or a bundle.
        out: folder to make, see this module.
        options: what is measured; None for a run's own classifiers.
        resamples: bootstrap resamples of lesions.
        seed: of the sample of images, of noise, of random weights and of the bootstrap.
        device: to run on.
        on_progress: called with batches done and batches in all, for each network anew.

    Returns:
        See `selcn.evaluation.saliency_quality_table`.

    Raises:
        RunError: ``source`` or a run of ``against`` is none, or incomplete.
        ConfigError: there is no such network, method or layer, or a network is no classifier; a run of ``against`` has
            another split or other classes.
        DataError: the catalog or an image is wrong, or ``out`` holds something else.
    """
    options, out = options or QualityOptions(), Path(out)
    jobs = [
        (job, Beside(_target(source, options, job, device), _seeds(options, job, device)))
        for job in _jobs(Path(source), options, device)
    ]
    scores = [
        write_quality_scores(job, out / job.network, beside, images=options.count, seed=seed, on_progress=on_progress)
        for job, beside in jobs
    ]
    table = pd.concat(
        [saliency_quality_table(one, resamples=resamples, seed=seed) for one in scores], ignore_index=True
    )
    write_text(out / TABLE, table.to_csv(index=False, lineterminator="\n"))
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    write_text(out / SUMMARY, json.dumps({"source": str(source), "seed": seed, "metrics": rows}, indent=1))
    return table


def default_folder(source: Path) -> Path:
    """Where the result goes: into a run, whose report shows it from there, else into the working folder.

    Args:
        source: see `measure_saliency_quality`.
    """
    run = RunFolder(source)
    return run.saliency_quality if run.config.is_file() else Path("saliency-quality")


def _jobs(source: Path, options: QualityOptions, device: str | torch.device) -> list[SaliencyJob]:
    names: Sequence[str | None] = list(dict.fromkeys(options.networks)) or [None]
    if not options.networks and RunFolder(source).config.is_file():
        graph = open_run(source).graph
        bundled = graph.with_needs(graph.target)
        names = [name for name in bundled if name in graph.classifiers] or [graph.target]
    opened = [
        open_job(source, options.images, name, method=options.method, layer=options.layer, device=device)
        for name in names
    ]
    for job in opened:
        if not _explains_classes(job):
            raise ConfigError(f"network {job.network}: is no classifier; give one with --network")
    return opened


def _explains_classes(job: SaliencyJob) -> bool:
    return isinstance(job.assignments[0].explainer, ClassExplainer)


def _target(
    source: Path | str, options: QualityOptions, job: SaliencyJob, device: str | torch.device
) -> SaliencyJob | None:
    """The job of the network that the graph leads to; None where that is the explained one, or no classifier."""
    target = open_job(source, options.images, device=device)
    return target if target.network != job.network and _explains_classes(target) else None


def _seeds(options: QualityOptions, job: SaliencyJob, device: str | torch.device) -> list[SaliencyJob]:
    """The jobs of the same network of other runs, whose images are the same in the same order."""
    found = []
    for run in options.against:
        other = open_job(run, (), job.network, method=options.method, layer=options.layer, device=device)
        keys = ["image_id", "group", "fold"]
        if not other.table[keys].equals(job.table[keys]):
            raise ConfigError(f"{run}: has another split; give runs of one split, as `selcn run --seeds` makes them")
        if list(other.labels) != list(job.labels):
            raise ConfigError(f"{run}: network {job.network} has other classes; give runs of one configuration")
        found.append(other)
    return found
