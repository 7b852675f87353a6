"""Cross-fitting: what trains or judges a later network comes from networks that did not see that lesion.

Member k of the cascade is a segmenter, a symmetry network and a classifier that were all trained without fold k and
without the test part. So member k may speak of fold k, and all members may speak of the test part.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from selcn.data.datasets import as_floats, gather_images, gather_maps
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.store.store import Store
from selcn.labels import Masking
from selcn.models.cascade import explain
from selcn.models.masking import apply_masking
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork

BATCH = 32
OnBatch = Callable[[int, int], None]


def out_of_fold_masks(
    store: Store,
    fold_rows: Sequence[np.ndarray],
    segmenters: Sequence[Segmenter],
    out: Path,
    device: torch.device,
    on_batch: OnBatch,
) -> None:
    """Write masks, uint8 (N, H, W), of every fold by the segmenter that did not see it; test rows stay empty.

    Args:
        store: the prepared images.
        fold_rows: rows of each fold.
        segmenters: the one of each fold, trained on the others.
        out: .npy file, memory-mapped while it is written.
        device: where the networks run.
        on_batch: called with rows done and rows in all.
    """

    def predict(segmenter: nn.Module, images: Tensor, _: np.ndarray) -> Tensor:
        mask: Tensor = segmenter(images).sigmoid() > LESION_THRESHOLD
        return mask[:, 0].to(torch.uint8)

    _write_maps(store, fold_rows, segmenters, predict, out, device, on_batch)


def out_of_fold_saliency(
    store: Store,
    masks: np.ndarray,
    masking: Masking,
    fold_rows: Sequence[np.ndarray],
    networks: Sequence[SymmetryNetwork],
    out: Path,
    device: torch.device,
    on_batch: OnBatch,
) -> None:
    """Write symmetry saliency, float32 (N, h, w) at the network's grid, of every fold by the one that did not see it.

    Args:
        store: the prepared images.
        masks: out-of-fold masks, uint8 (N, H, W).
        masking: what the symmetry networks see.
        fold_rows, networks, out, device, on_batch: as in `out_of_fold_masks`.
    """

    def predict(network: nn.Module, images: Tensor, rows: np.ndarray) -> Tensor:
        seen = apply_masking(images, gather_maps(masks, rows).to(device), masking)
        return explain(network.trace(seen))[:, 0]  # type: ignore[operator]

    _write_maps(store, fold_rows, networks, predict, out, device, on_batch)


def in_batches(rows: np.ndarray) -> list[np.ndarray]:
    """Rows in batches of at most `BATCH`."""
    return np.array_split(rows, -(-len(rows) // BATCH))


@torch.inference_mode()
def _write_maps(
    store: Store,
    fold_rows: Sequence[np.ndarray],
    networks: Sequence[nn.Module],
    predict: Callable[[nn.Module, Tensor, np.ndarray], Tensor],
    out: Path,
    device: torch.device,
    on_batch: OnBatch,
) -> None:
    maps: np.memmap | None = None
    done, total = 0, sum(map(len, fold_rows))
    for rows_of_fold, network in zip(fold_rows, networks, strict=True):
        network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        for rows in in_batches(rows_of_fold):
            values = predict(network, as_floats(gather_images(store, rows).to(device)), rows).cpu().numpy()
            if maps is None:
                maps = open_memmap(out, "w+", values.dtype, (len(store.image_ids), *values.shape[1:]))
            maps[rows] = values
            done += len(rows)
            on_batch(done, total)
    if maps is not None:
        maps.flush()
