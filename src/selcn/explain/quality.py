"""What a classifier's saliency is worth, image by image: faithfulness, stability, sanity, symmetry, known place.

Each score is given of the network's map and of maps to compare it with: the measured map of asymmetry (mirror
differences inside the true mask), the same network's map with random weights, a centred Gaussian, the true mask, and
uniform noise at the network's own grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from selcn.evaluation.localisation import NETWORK, centred_gaussian
from selcn.evaluation.saliency_quality import MEASURED, read_quality_scores
from selcn.explain.explainers import ClassExplainer, Explainer, View, randomised_from_top
from selcn.explain.job import Assignment, SaliencyJob
from selcn.explain.runner import KEYS
from selcn.explain.scoring import (
    ASYMMETRY,
    FACTS,
    GAUSSIAN,
    MASK,
    RANDOM_WEIGHTS,
    SCORES,
    read_places,
    sample_rows,
)
from selcn.io.resume import OnProgress, work_in_parts
from selcn.io.tables import guarded
from selcn.models.cascade import Known
from selcn.models.mirror import Mirror
from selcn.saliency.comparing import (
    PLACE_CELLS,
    at_side,
    complexity,
    mean_rank_correlation,
    place_auc,
    rank_correlation,
)
from selcn.saliency.infidelity import infidelity, is_flat, max_sensitivity, probability_drops, sample_squares
from selcn.saliency.perturbation import Probability
from selcn.saliency.road import road

IMAGES = 100
"""Images that are measured: each takes more than a hundred forward passes."""
DEPTHS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of the layers, from the output down, whose weights are made random."""
NOISE = "uniform noise"
Columns = dict[str, Tensor]
"""A score (n,) of n images by its name; NaN where undefined."""


@dataclass(frozen=True)
class Beside:
    """Further maps of the same images that the explained ones are compared with.

    Attributes:
        target: the job of the diagnosis, or whatever else the graph leads to; None for no such comparison.
        seeds: jobs of the same network of other runs with the same split.
    """

    target: SaliencyJob | None = None
    seeds: Sequence[SaliencyJob] = ()

    @property
    def jobs(self) -> list[SaliencyJob]:
        """All of them, the target's first."""
        return [*([self.target] if self.target else []), *self.seeds]


def write_quality_scores(
    job: SaliencyJob,
    out: Path | str,
    beside: Beside | None = None,
    *,
    images: int = IMAGES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Score the saliency of the predicted class of some images, one row an image and kind of map; resumable.

    Args:
        job: what to explain, by `ClassExplainer`.
        out: folder to make; its `scores.csv` holds the scores.
        beside: jobs of the same images in the same order; None for none.
        images: how many are measured, sampled at random from the test subset, where there is one.
        seed: of that sample, of noise and of random weights.
        on_progress: called with batches done and batches in all.

    Raises:
        DataError: an image cannot be read, or ``out`` holds something else.
    """
    beside = beside or Beside()
    chosen = sample_rows(job, images, seed)
    batches = [one.only(chosen).batches() for one in (job, *beside.jobs)]

    @torch.inference_mode()
    def score(part: int, folder: Path) -> None:
        own, *others = [of_job[part] for of_job in batches]
        guarded(_score(job, own, others, beside, seed)).to_csv(folder / SCORES, index=False)

    plan: dict[str, Any] = {"quality": 1, **job.origin, "network": job.network, "sampled": images, "seed": seed}
    plan |= {"target": _identity(beside.target), "seeds": [_identity(one) for one in beside.seeds]}
    out = Path(out)
    work_in_parts(out, plan, len(batches[0]), score, _join, on_progress)
    return read_quality_scores(out / SCORES)


def _identity(job: SaliencyJob | None) -> dict[str, Any] | None:
    return None if job is None else {**job.origin, "network": job.network}


def _join(parts: list[Path], folder: Path) -> None:
    pd.concat([pd.read_csv(part / SCORES, dtype=str) for part in parts]).to_csv(folder / SCORES, index=False)


@dataclass(frozen=True, eq=False)
class _Images:
    """A batch: its explainer, images (n, 3, H, W), what is known of them, the explained classes (n,) and true masks."""

    explainer: ClassExplainer
    images: Tensor
    known: Known
    target: Tensor
    lesion: Tensor  # (n, 1, H, W), 0 or 1; empty where there is no true mask

    def maps_of(self, explainer: Explainer, images: Tensor | None = None) -> Tensor:
        """Maps (n, 1, h, w) of the explained classes by this or another explainer."""
        assert isinstance(explainer, ClassExplainer)
        return explainer.explain(self.images if images is None else images, self.target, self.known).saliency


def _score(job: SaliencyJob, own: Assignment, others: Sequence[Assignment], beside: Beside, seed: int) -> pd.DataFrame:
    rows, explainer = own.rows, own.explainer
    assert isinstance(explainer, ClassExplainer)
    images, known, masks = job.images(rows), job.known(rows), _true_masks(job, rows)
    explained = explainer.explain(images, known=known)
    batch = _Images(explainer, images, known, explained.target, torch.from_numpy(masks)[:, None].to(images))
    stages = [batch.maps_of(twin) for twin in randomised_from_top(explainer, DEPTHS, seed)]
    maps = _rivals(batch, explained.saliency, stages[-1], seed + int(rows[0]))
    compared = {MEASURED: maps[MEASURED]}
    if beside.target:
        compared[beside.target.network] = others[0].explainer.explain(images, known=known).saliency
    place = read_places(job, rows, masks).get(ASYMMETRY)
    found = {kind: _scores_of_map(one, batch, compared, place) for kind, one in maps.items()}
    for kind, columns in _faithfulness(batch, maps, seed).items():
        found[kind] |= columns
    found[NETWORK] |= _stability(batch, explained.saliency, others[len(others) - len(beside.seeds) :], seed)
    for depth, one in zip(DEPTHS, stages, strict=True):
        found[NETWORK][f"randomised_{round(100 * depth)}"] = rank_correlation(one, explained.saliency)
    keys = job.table[[*KEYS, *FACTS]].iloc[rows].reset_index(drop=True).assign(network=job.network)
    return pd.concat([keys.assign(saliency=kind, **_numbers(one)) for kind, one in found.items()], ignore_index=True)


def _numbers(columns: Columns) -> dict[str, np.ndarray]:
    return {name: values.double().cpu().numpy() for name, values in columns.items()}


def _true_masks(job: SaliencyJob, rows: np.ndarray) -> np.ndarray:
    """Bool (n, H, W), of the images' size; empty where the catalog names no mask."""
    given = (job.table["mask_path"].iloc[rows] != "").to_numpy()
    known = job.source_images.masks(rows[given]) if given.any() else None
    height, width = job.images(rows[:1]).shape[2:] if known is None else known.shape[1:]
    masks = np.zeros((len(rows), height, width), dtype=bool)
    if known is not None:
        masks[given] = known
    return masks


def _rivals(batch: _Images, own: Tensor, random_weights: Tensor, seed: int) -> dict[str, Tensor]:
    """Maps (n, 1, h, w) by their kind."""
    noise = torch.rand(own.shape, generator=torch.Generator().manual_seed(seed)).to(own)
    bell = torch.from_numpy(centred_gaussian(*batch.images.shape[2:])).to(own)
    return {
        NETWORK: own,
        MEASURED: Mirror().to(own.device)(batch.images, batch.lesion).map,
        RANDOM_WEIGHTS: random_weights,
        GAUSSIAN: bell.expand(len(own), 1, -1, -1),
        MASK: batch.lesion,
        NOISE: noise,
    }


def _scores_of_map(one: Tensor, batch: _Images, compared: Mapping[str, Tensor], place: np.ndarray | None) -> Columns:
    """Scores of a map itself: flatness, complexity, asymmetry, agreement with other maps, known place."""
    flat, inside = is_flat(one), at_side(batch.lesion) > 1 / 2
    found = {"flat": flat.double(), "complexity": complexity(one)}
    found["map_asymmetry"] = torch.where(flat, torch.nan, Mirror().to(one.device).compare_map(one, batch.lesion))
    for name, other in compared.items():
        if other is not one:
            found[f"agreement_{name}"] = rank_correlation(at_side(one), at_side(other), inside)
    if place is not None:
        there = torch.from_numpy(place)[:, None].to(one.device)
        found |= {f"place_{cells}": place_auc(one, there, batch.lesion, cells) for cells in PLACE_CELLS}
    return found


def _faithfulness(batch: _Images, maps: Mapping[str, Tensor], seed: int) -> dict[str, Columns]:
    """ROAD and infidelity by kind of map, means over the members."""
    members = _probabilities(batch.explainer.look(batch.images, batch.known), batch.target)
    height, width = batch.images.shape[2:]
    squares = sample_squares((height, width), seed=seed)
    drops = torch.stack([probability_drops(one, seen, squares) for one, seen in members]).mean(0)
    found = {}
    for kind, saliency in maps.items():
        removed = torch.stack([road(one, seen, saliency, seed=seed) for one, seen in members]).mean(0)
        ranked = torch.where(is_flat(saliency), torch.nan, removed)  # a flat map ranks no pixel
        found[kind] = {"road": ranked, "infidelity": infidelity(saliency, squares, drops)}
    return found


def _probabilities(views: Sequence[View], target: Tensor) -> list[tuple[Probability, Tensor]]:
    """The probability of the class, and the images it is of: of each member, or of all where they see the same."""

    def of_members(chosen: Sequence[View]) -> tuple[Probability, Tensor]:
        def probability(seen: Tensor) -> Tensor:
            found = [view.answer(seen).logits.softmax(dim=1).gather(1, target[:, None])[:, 0] for view in chosen]
            return torch.stack(found).mean(0)

        return probability, chosen[0].seen

    alike = all(torch.equal(view.seen, views[0].seen) for view in views)
    return [of_members(views)] if alike else [of_members([view]) for view in views]


def _stability(batch: _Images, own: Tensor, seeds: Sequence[Assignment], seed: int) -> Columns:
    """How little the network's map changes with noise, members and seeds."""

    def explain(noisy: Tensor) -> Tensor:
        return batch.maps_of(batch.explainer, noisy)

    found = {"max_sensitivity": max_sensitivity(explain, batch.images, own, seed=seed)}
    members = batch.explainer.single_members()
    if len(members) > 1:
        found["agreement_members"] = mean_rank_correlation([batch.maps_of(one) for one in members])
    if seeds:
        found["agreement_seeds"] = mean_rank_correlation([own, *(batch.maps_of(one.explainer) for one in seeds)])
    return found
