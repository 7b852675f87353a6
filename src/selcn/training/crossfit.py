"""Cross-fitting: what trains or judges a later network comes from networks that did not see that lesion.

Member k of the cascade is a segmenter, a symmetry network and a classifier that were all trained without fold k and
without the test part. So member k may speak of fold k, and all members may speak of the test part.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from selcn.bundle import BundleConfig
from selcn.cascade import LESION_THRESHOLD, Ensemble, explain
from selcn.data.datasets import gather_images, gather_maps
from selcn.data.splits import Split
from selcn.data.store import Store
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.segmentation import segmentation_scores
from selcn.inference import Predictor, as_floats
from selcn.labels import SYMMETRIES, BinarySymmetry, Masking, Symmetry
from selcn.masking import apply_masking
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork

BATCH = 32
OnBatch = Callable[[int, int], None]


def out_of_fold_masks(
    store: Store, fold_rows: Sequence[np.ndarray], segmenters: Sequence[Segmenter], out: Path, on_batch: OnBatch
) -> None:
    """Write masks, uint8 (N, H, W), of every fold by the segmenter that did not see it; test rows stay empty.

    Args:
        store: the prepared images.
        fold_rows: rows of each fold.
        segmenters: the one of each fold, trained on the others.
        out: .npy file, memory-mapped while it is written.
        on_batch: called with rows done and rows in all.
    """

    def predict(segmenter: nn.Module, images: Tensor, _: np.ndarray) -> Tensor:
        mask: Tensor = segmenter(images).sigmoid() > LESION_THRESHOLD
        return mask[:, 0].to(torch.uint8)

    _write_maps(store, fold_rows, segmenters, predict, out, on_batch)


def out_of_fold_saliency(
    store: Store,
    masks: np.ndarray,
    masking: Masking,
    fold_rows: Sequence[np.ndarray],
    networks: Sequence[SymmetryNetwork],
    out: Path,
    on_batch: OnBatch,
) -> None:
    """Write symmetry saliency, float32 (N, h, w) at the network's grid, of every fold by the one that did not see it.

    Args:
        store: the prepared images.
        masks: out-of-fold masks, uint8 (N, H, W).
        masking: what the symmetry networks see.
        fold_rows, networks, out, on_batch: as in `out_of_fold_masks`.
    """

    def predict(network: nn.Module, images: Tensor, rows: np.ndarray) -> Tensor:
        seen = apply_masking(images, gather_maps(masks, rows), masking)
        return explain(network.trace(seen))[:, 0]  # type: ignore[operator]

    _write_maps(store, fold_rows, networks, predict, out, on_batch)


@torch.inference_mode()
def _write_maps(
    store: Store,
    fold_rows: Sequence[np.ndarray],
    networks: Sequence[nn.Module],
    predict: Callable[[nn.Module, Tensor, np.ndarray], Tensor],
    out: Path,
    on_batch: OnBatch,
) -> None:
    maps: np.memmap | None = None
    done, total = 0, sum(map(len, fold_rows))
    for rows_of_fold, network in zip(fold_rows, networks, strict=True):
        network.eval()
        for rows in np.array_split(rows_of_fold, -(-len(rows_of_fold) // BATCH)):
            values = predict(network, as_floats(gather_images(store, rows)), rows).numpy()
            if maps is None:
                maps = open_memmap(out, "w+", values.dtype, (len(store.image_ids), *values.shape[1:]))
            maps[rows] = values
            done += len(rows)
            on_batch(done, total)
    if maps is not None:
        maps.flush()


class Judgement(NamedTuple):
    """What one variant of the cascade says of every image it may speak of, in the shape of the prediction files.

    Attributes:
        segmentation: per-image scores of the images that have a true mask.
        symmetry: class probabilities of the images whose symmetry is known.
        diagnosis: class probabilities of the images whose diagnosis is known.
    """

    segmentation: pd.DataFrame
    symmetry: Predictions
    diagnosis: Predictions


def judge(
    table: pd.DataFrame, store: Store, split: Split, config: BundleConfig, ensemble: Ensemble, on_batch: OnBatch
) -> Judgement:
    """Let member k speak of fold k, and all members together of the test part.

    Masks are scored at the store's size.

    Args:
        table: the catalog.
        store: its prepared images.
        split: which part an image lies in.
        config: of the bundle that the members make up.
        ensemble: its members by fold.
        on_batch: called with images done and images in all.
    """
    speakers = [*(Ensemble([member]) for member in ensemble.members), ensemble]
    rows: list[np.ndarray] = []
    said: dict[str, list[np.ndarray]] = {"symmetry": [], "diagnosis": []}
    scores: list[pd.DataFrame] = []
    for part, speaker in zip(split.parts, speakers, strict=False):
        predictor = Predictor(config, speaker)
        part_rows = split.rows(table, part)
        for batch in np.array_split(part_rows, -(-len(part_rows) // BATCH)):
            output = predictor.forward(gather_images(store, batch))
            rows.append(batch)
            said["symmetry"].append(output.symmetry.numpy())
            said["diagnosis"].append(output.diagnosis.numpy())
            scores.append(_mask_scores(store, output.lesion, batch))
            on_batch(sum(map(len, rows)), len(table))
    all_rows = np.concatenate(rows)
    keys = _keys(table.iloc[all_rows], split)
    segmentation = pd.concat([keys, pd.concat(scores, ignore_index=True)], axis=1)
    symmetry = symmetry_names(keys["symmetry"], config.symmetry_labels)
    return Judgement(
        segmentation[store.has_mask[all_rows]],
        _predictions(keys, symmetry, np.concatenate(said["symmetry"]), config.symmetry_labels),
        _predictions(keys, keys["diagnosis"], np.concatenate(said["diagnosis"]), config.diagnosis_labels),
    )


def symmetry_names(names: pd.Series, classes: Sequence[str]) -> pd.Series:
    """Symmetry names as a network of these classes knows them: reduced to two where it has two.

    A lesion known only as symmetric has no name among three.
    """
    if len(classes) == len(Symmetry):
        return names.where(names.isin(classes), "")
    return names.map({"": "", **{name: BinarySymmetry.of(name).value for name in SYMMETRIES}})


def _keys(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    keys = table[["image_id", "diagnosis", "symmetry"]].reset_index(drop=True)
    return keys.assign(group=keys["image_id"].map(split.group), fold=keys["image_id"].map(split.part))


def _mask_scores(store: Store, lesion: Tensor, rows: np.ndarray) -> pd.DataFrame:
    truth = np.asarray(store.masks[rows]) > 0
    return segmentation_scores(truth, (lesion[:, 0] > LESION_THRESHOLD).numpy())


def _predictions(
    keys: pd.DataFrame, truth: pd.Series, probabilities: np.ndarray, classes: Sequence[str]
) -> Predictions:
    table = keys[["image_id", "group", "fold"]].assign(truth=truth)
    table[list(classes)] = probabilities.astype(np.float64)
    return Predictions.of(table[truth != ""].reset_index(drop=True))
