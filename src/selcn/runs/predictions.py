"""What the members of a cascade say of the images they may speak of, in the shape of the prediction files.

Member k speaks of fold k, which it did not see, and of the test part, which no member saw; the ensemble speaks of the
test part by the members' mean probability.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from selcn.data.datasets import as_floats, gather_images
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.splits.split import Split
from selcn.data.store.store import Store
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.segmentation import segmentation_scores
from selcn.inference.bundle import symmetry_labels
from selcn.labels import SYMMETRIES, TEST, BinarySymmetry, Diagnosis, Masking, Symmetry
from selcn.models.cascade import Cascade, explain
from selcn.models.segmenter import Segmenter
from selcn.runs.out_of_fold import OnBatch, in_batches

SYMMETRY = "symmetry-"
"""Starts the name of what is said of symmetry, and is followed by the masking; other names are variants'."""
Said = Mapping[str, np.ndarray]
"""Class probabilities (n, C) by the name of who says them."""


class Judged(NamedTuple):
    """What one member said.

    Attributes:
        fold, test: of its fold's rows and of the test part's, in the catalog's order.
    """

    fold: Said
    test: Said


@torch.inference_mode()
def judge(
    store: Store, cascades: Mapping[str, Cascade], rows: np.ndarray, device: torch.device, on_batch: OnBatch
) -> dict[str, np.ndarray]:
    """Class probabilities of some rows by every variant of one member, masks and saliency computed once for all.

    Args:
        store: the prepared images.
        cascades: by the variant's name; they share one segmenter and, for one masking, one symmetry network.
        rows: of the store.
        device: where the networks run.
        on_batch: called with images done and images in all.
    """
    said: dict[str, list[np.ndarray]] = {}
    for cascade in cascades.values():
        cascade.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    by_masking: dict[Masking, Cascade] = {cascade.cam_mask: cascade for cascade in cascades.values()}
    first = next(iter(cascades.values()))
    done = 0
    for batch in in_batches(rows):
        images = as_floats(gather_images(store, batch).to(device))
        lesion = first.outline(images)
        symmetries = {masking: one.judge_symmetry(images, lesion) for masking, one in by_masking.items()}
        saliency = {masking: explain(trace) for masking, trace in symmetries.items()}
        traces = {name: one.diagnose(images, lesion, saliency[one.cam_mask]) for name, one in cascades.items()} | {
            f"{SYMMETRY}{masking}": trace for masking, trace in symmetries.items()
        }
        for name, trace in traces.items():
            said.setdefault(name, []).append(trace.logits.softmax(dim=1).cpu().numpy())
        done += len(batch)
        on_batch(done, len(rows))
    return {name: np.concatenate(parts) for name, parts in said.items()}


@torch.inference_mode()
def score_masks(
    table: pd.DataFrame, store: Store, split: Split, segmenters: Sequence[Segmenter], device: torch.device
) -> pd.DataFrame:
    """Per-image scores, at the store's size, of the images that have a true mask: out of fold, and of the test part."""
    for segmenter in segmenters:
        segmenter.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    scores, keys = [], []
    speakers = [*([segmenter] for segmenter in segmenters), segmenters]
    for part, speaking in zip(split.parts, speakers, strict=False):
        rows = split.rows(table, part)
        rows = rows[store.has_mask[rows]]
        for batch in in_batches(rows) if len(rows) else []:
            images = as_floats(gather_images(store, batch).to(device))
            lesion = torch.stack([one(images).sigmoid() for one in speaking]).mean(dim=0)[:, 0] > LESION_THRESHOLD
            scores.append(segmentation_scores(np.asarray(store.masks[batch]) > 0, lesion.cpu().numpy()))
        keys.append(_keys(table.iloc[rows], split))
    return pd.concat([pd.concat(keys, ignore_index=True), pd.concat(scores, ignore_index=True)], axis=1)


def together(table: pd.DataFrame, split: Split, judged: Sequence[Judged], name: str, classes: int) -> Predictions:
    """What was said under one name: of each fold by its member, of the test part by all."""
    parts = [(str(fold), member.fold[name]) for fold, member in enumerate(judged)]
    if TEST in split.parts:
        parts.append((TEST, np.mean([member.test[name] for member in judged], axis=0)))
    rows = np.concatenate([split.rows(table, part) for part, _ in parts])
    return _predictions(table.iloc[rows], split, name, np.concatenate([said for _, said in parts]), classes)


def alone(table: pd.DataFrame, split: Split, member: Judged, name: str, classes: int) -> Predictions:
    """What one member said of the test part."""
    return _predictions(table.iloc[split.rows(table, TEST)], split, name, member.test[name], classes)


def symmetry_names(names: pd.Series, classes: Sequence[str]) -> pd.Series:
    """Symmetry names as a network of these classes knows them: reduced to two where it has two.

    A lesion known only as symmetric has no name among three.
    """
    if len(classes) == len(Symmetry):
        return names.where(names.isin(classes), "")
    return names.map({"": "", **{name: BinarySymmetry.of(name).value for name in SYMMETRIES}})


def _predictions(
    rows: pd.DataFrame, split: Split, name: str, probabilities: np.ndarray, symmetry_classes: int
) -> Predictions:
    of_symmetry = name.startswith(SYMMETRY)
    classes = symmetry_labels(symmetry_classes) if of_symmetry else Diagnosis.names()
    truth = symmetry_names(rows["symmetry"], classes) if of_symmetry else rows["diagnosis"]
    table = _keys(rows, split).assign(truth=truth.to_numpy())
    table[classes] = probabilities.astype(np.float64)
    return Predictions.of(table[table["truth"] != ""].reset_index(drop=True))


def _keys(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    keys = rows[["image_id"]].reset_index(drop=True)
    return keys.assign(group=keys["image_id"].map(split.group), fold=keys["image_id"].map(split.part))
