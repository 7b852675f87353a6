"""Saliency of many images to one memory-mapped file: in batches, in bounded memory, resumable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selcn.explain.job import SaliencyJob
from selcn.io.resume import OnProgress, work_in_parts
from selcn.saliency.maps import SaliencyMaps, read_saliency, seal_parts, write_part

KEYS = ["image_id", "group", "fold"]


def write_saliency(
    job: SaliencyJob,
    out: Path | str,
    *,
    target: str | None = None,
    share: Callable[[Path, str], list[Path]] | None = None,
    on_progress: OnProgress | None = None,
) -> SaliencyMaps:
    """Explain every image of a job; resumable.

    Args:
        job: what to explain.
        out: folder to make; see `selcn.saliency.maps`.
        target: name of the class to explain; None for the predicted class of each image.
        share: explains the batches in other processes, see `selcn.io.resume.work_in_parts`.
        on_progress: called with batches done and batches in all.

    Raises:
        ConfigError: the network has no such class.
        DataError: an image cannot be read, or ``out`` holds something else.
    """
    explain = batch_writer(job, target)
    plan: dict[str, Any] = {**job.origin, "network": job.network, "target": target or "predicted"}
    out = Path(out)
    work_in_parts(out, plan, len(job.batches()), explain, seal_parts, on_progress, share=share)
    return read_saliency(out)


def batch_writer(job: SaliencyJob, target: str | None = None) -> Callable[[int, Path], None]:
    """A function that explains a batch of a job, given its number, and writes maps and index to a folder.

    Args:
        job: what to explain.
        target: name of the class to explain; None for the predicted class of each image.

    Raises:
        ConfigError: the network has no such class.
    """
    number, batches, labels = job.target(target), job.batches(), np.asarray(job.labels)

    @torch.inference_mode()
    def explain(part: int, folder: Path) -> None:
        rows, explainer = batches[part]
        probabilities, chosen, saliency = (
            values.cpu().numpy() for values in explainer.explain(job.images(rows), number, job.known(rows))
        )
        index = (
            job.table[KEYS]
            .iloc[rows]
            .assign(
                target=labels[chosen],
                probability=probabilities[np.arange(len(rows)), chosen],
                prediction=labels[probabilities.argmax(axis=1)],
            )
        )
        write_part(folder, saliency[:, 0], index)

    return explain
