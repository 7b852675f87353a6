"""Quality of a network's saliency, image by image, beside random-weight, Gaussian, mask and chance baselines."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image
from selcn.errors import DataError
from selcn.evaluation.localisation import (
    CHANCE,
    NETWORK,
    Dilation,
    centred_gaussian,
    chance_scores,
    localisation_scores,
    read_saliency_scores,
)
from selcn.evaluation.ranking import fraction
from selcn.explain.explainers import ClassExplainer, Explainer, View, randomised
from selcn.explain.job import SaliencyJob
from selcn.explain.runner import KEYS
from selcn.io.resume import OnProgress, work_in_parts
from selcn.io.tables import guarded
from selcn.models.cascade import Known
from selcn.saliency.perturbation import deletion_insertion

SCORES = "scores.csv"
RANDOM_WEIGHTS, GAUSSIAN, MASK = "random weights", "centred Gaussian", "lesion mask"
LESION, ASYMMETRY = "lesion", "asymmetry"
"""Regions that maps are compared with: the ground-truth mask, and where a phantom's lesion was made asymmetric."""
FACTS = ["diagnosis", "symmetry"]
_HALF = 127


def write_saliency_scores(
    job: SaliencyJob,
    out: Path | str,
    *,
    curves: int = 0,
    seed: int = 0,
    dilation: Dilation = "centred",
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Score the saliency of the predicted class of every image that has a ground-truth mask; resumable.

    The table has one row an image, kind of saliency and region (`against`). Kinds are the network's map, that of the
    same network with random weights (Adebayo et al. 2018), a centred Gaussian, the lesion's mask itself, and chance,
    the mean score of the network's own map with its pixels in random order.

    Args:
        job: what to explain.
        out: folder to make; its `scores.csv` holds the scores.
        curves: number of images, sampled at random, whose deletion and insertion are also measured; about a hundred
            forward passes each.
        seed: of that sample and of the random weights.
        dilation: of masks, see `localisation_scores`.
        on_progress: called with batches done and batches in all.

    Raises:
        DataError: no image has a mask, an image cannot be read, or ``out`` holds something else.
    """
    masked = job.only((job.table["mask_path"] != "").to_numpy())
    if not masked.assignments:
        raise DataError("no image has a true mask to hold saliency against; fill in the catalog's mask_path")
    batches, traced = masked.batches(), sample_rows(masked, curves, seed)
    rivals = {id(assignment.explainer): _rival(assignment.explainer, seed) for assignment in masked.assignments}

    @torch.inference_mode()
    def score(part: int, folder: Path) -> None:
        rows, explainer = batches[part]
        scores = _score(masked, rows, explainer, rivals[id(explainer)], traced[rows], dilation)
        scores.to_csv(folder / SCORES, index=False)

    plan: dict[str, Any] = {**job.origin, "network": job.network, "curves": curves, "seed": seed}
    plan |= {"dilation": dilation} if dilation != "centred" else {}
    out = Path(out)
    work_in_parts(out, plan, len(batches), score, _join, on_progress)
    return read_saliency_scores(out / SCORES)


def _join(parts: list[Path], folder: Path) -> None:
    scores = pd.concat([pd.read_csv(part / SCORES, dtype=str) for part in parts])
    guarded(scores).to_csv(folder / SCORES, index=False)


def sample_rows(job: SaliencyJob, count: int, seed: int) -> np.ndarray:
    """Some rows of a job's table, bool (N,): of the test subset, where there is one.

    Args:
        job: whose assigned rows are sampled.
        count: number of rows, at most.
        seed: of the sample.
    """
    rows = np.concatenate([assignment.rows for assignment in job.assignments])
    tested = rows[job.table["fold"].to_numpy()[rows] == "test"]
    pool = tested if len(tested) else rows
    chosen = np.zeros(len(job.table), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(pool)[:count]] = True
    return chosen


def _rival(explainer: Explainer, seed: int) -> ClassExplainer | None:
    return randomised(explainer, seed) if isinstance(explainer, ClassExplainer) else None


def _score(
    job: SaliencyJob,
    rows: np.ndarray,
    explainer: Explainer,
    rival: ClassExplainer | None,
    traced: np.ndarray,
    dilation: Dilation,
) -> pd.DataFrame:
    images, masks = job.images(rows), job.source_images.masks(rows)
    rows, images, masks, traced = _with_lesion(rows, images, masks, traced)
    known = job.known(rows)
    explained = explainer.explain(images, known=known)
    maps = {NETWORK: explained.saliency}
    if rival is not None:
        maps[RANDOM_WEIGHTS] = rival.explain(images, known=known).saliency
    bell = torch.from_numpy(centred_gaussian(*images.shape[2:])).to(images)
    maps |= {GAUSSIAN: bell.expand(len(rows), 1, -1, -1), MASK: torch.from_numpy(masks)[:, None].to(images)}
    keys = job.table[[*KEYS, *FACTS]].iloc[rows].reset_index(drop=True)
    keys = keys.assign(head=job.network, lesion_share=masks.mean((1, 2)).round(4))
    faithful = _faithfulness(explainer, images, known, explained.target, maps, traced)
    found = []
    for against, places in read_places(job, rows, masks).items():
        present = places.any((1, 2))
        for kind, saliency in [*maps.items(), (CHANCE, explained.saliency)]:
            measure = chance_scores if kind == CHANCE else localisation_scores
            scores = measure(saliency[:, 0].cpu().numpy()[present], places[present], dilation)
            table = pd.concat([keys[present].reset_index(drop=True), scores], axis=1)
            if against == LESION and kind != CHANCE:
                table["rank_correlation"] = _rank_correlation(saliency, explained.saliency)[present]
            if against == LESION and kind in faithful:
                table[["deletion", "insertion"]] = faithful[kind][present]
            found.append(table.assign(saliency=kind, against=against))
    return pd.concat(found, ignore_index=True)


def _with_lesion(rows: np.ndarray, images: Tensor, masks: np.ndarray, traced: np.ndarray) -> Any:  # noqa: ANN401
    chosen = masks.any((1, 2))
    return rows[chosen], images[torch.from_numpy(chosen)], masks[chosen], traced[chosen]


def read_places(job: SaliencyJob, rows: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """The regions that maps are compared with, bool (n, H, W) each; empty where an image has no such region.

    Args:
        job: of the images.
        rows: int (n,) rows of its table.
        masks: of the lesions, bool (n, H, W).

    Raises:
        DataError: a map of asymmetry cannot be read.
    """
    if "asymmetry_path" not in job.table:
        return {LESION: masks}
    size = masks.shape[2], masks.shape[1]
    paths = job.table["asymmetry_path"].iloc[rows]
    nowhere = np.zeros(size[::-1], dtype=bool)
    odd = [resize(read_image(Path(path))[..., 0], size) > _HALF if path else nowhere for path in paths]
    return {LESION: masks, ASYMMETRY: np.stack(odd)}


def _faithfulness(
    explainer: Explainer, images: Tensor, known: Known, target: Tensor, maps: dict[str, Tensor], traced: np.ndarray
) -> dict[str, np.ndarray]:
    """Deletion and insertion (n, 2) by kind of saliency, NaN where they are not measured."""
    if not isinstance(explainer, ClassExplainer) or not traced.any():
        return {}
    chosen = torch.from_numpy(traced)
    metadata = None if known.metadata is None else known.metadata[chosen]
    views, target = explainer.look(images[chosen], Known(metadata=metadata)), target[chosen]
    found = {}
    noise = torch.zeros_like(maps[NETWORK])  # all pixels equal: deleted in random order
    for kind, saliency in {**maps, CHANCE: noise}.items():
        found[kind] = np.full((len(traced), 2), np.nan)
        areas = [_areas(view, target, saliency[chosen]) for view in views]
        found[kind][traced] = torch.stack(areas).mean(0).T.cpu().numpy()
    return found


def _areas(view: View, target: Tensor, saliency: Tensor) -> Tensor:
    """Deletion and insertion (2, n) of one member."""

    def probability(seen: Tensor) -> Tensor:
        return view.answer(seen).logits.softmax(dim=1).gather(1, target[:, None])[:, 0]

    return torch.stack(deletion_insertion(probability, view.seen, saliency))


def _rank_correlation(one: Tensor, other: Tensor) -> np.ndarray:
    """Spearman correlation of two maps of each image (n,), at the other's grid; NaN where one is constant."""
    stretched = torch.nn.functional.interpolate(one, size=other.shape[-2:], mode="bilinear", align_corners=False)
    ranks = [rankdata(maps.flatten(1).cpu().numpy(), axis=1) for maps in (stretched, other)]
    centred = [rank - rank.mean(1, keepdims=True) for rank in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return fraction((centred[0] * centred[1]).sum(1), spread)
