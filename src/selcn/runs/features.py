"""Features of a frozen backbone: one pass over all images and their flips, on which heads are trained afterwards."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from selcn.config import ClassificationSection
from selcn.data.datasets import as_floats, gather_images, gather_maps, in_batches
from selcn.data.views import VIEWS, flipped
from selcn.errors import RunError
from selcn.io.files import sha256
from selcn.io.progress import OnProgress
from selcn.io.resume import work_in_parts
from selcn.labels import NO_MASKING
from selcn.models.build import build_for_training
from selcn.models.classifier import Classifier
from selcn.models.masking import apply_masking
from selcn.runs.folder import ARRAYS, FEATURE_MAPS, FEATURE_VIEWS, MASKS
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run

_ROWS = "rows.npy"


def write_features(run: Run, network: str, out: Path, device: torch.device, on_progress: OnProgress) -> dict[str, Any]:
    """Write the features of a frozen backbone for every image of the folds, masked as the network sees it; resumable.

    Images of the test subset are there too, unless the network masks: each member sees its own mask of those. Rows are
    the catalog's, zeros for the others. See `selcn.runs.folder` for the files.

    Args:
        run: whose earlier networks' outputs exist.
        network: its name.
        out: folder to write to.
        device: where the backbone runs.
        on_progress: called with batches done and batches in all.

    Returns:
        What the step's manifest records: the weights of the backbone, and the number of images and of views of each.
    """
    section = run.graph.classifiers[network]
    classifier = build_for_training(section)
    assert isinstance(classifier, Classifier)
    classifier.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    masked = section.masking != NO_MASKING
    masks = run.output(str(run.graph.segmenter), MASKS) if masked else None
    rows = np.sort(np.concatenate(run.fold_rows if masked else [*run.fold_rows, run.test_rows]))
    batches = in_batches(rows)

    @torch.inference_mode()
    def compute(part: int, folder: Path) -> None:
        images = as_floats(gather_images(run.store, batches[part]).to(device))
        if masks is not None:
            images = apply_masking(images, gather_maps(masks, batches[part]), section.masking)
        maps = [classifier.features(view) for view in flipped(images, count_views(section))]
        np.save(folder / _ROWS, batches[part])
        _save(folder / FEATURE_VIEWS, torch.stack([_kept(section, one) for one in maps], dim=1))
        if pools_early(section):
            _save(folder / FEATURE_MAPS, maps[0])

    def seal(parts: list[Path], folder: Path) -> None:
        for name in (FEATURE_VIEWS, *([FEATURE_MAPS] if pools_early(section) else [])):
            _join(parts, folder / name, name, len(run.table))

    identity = {"weights": _identity(section), "images": len(rows), "views": count_views(section)}
    work_in_parts(out / ARRAYS, {**identity, "network": network}, len(batches), compute, seal, on_progress)
    return identity


def check_features(run: Run, network: str) -> None:
    """Check that the backbone's weights are those that the stored features of a frozen network were computed with.

    Args:
        run: whose features exist.
        network: name of a frozen network.

    Raises:
        RunError: the file of the weights was changed.
    """
    section = run.graph.classifiers[network]
    recorded = run.folder.manifest(Step(Kind.FEATURES, run.graph.features_of(network)))["weights"]
    if recorded != _identity(section):
        raise RunError(
            f"network {network}: {section.weights} was changed since its features were computed; put it back or choose "
            "another --out"
        )


def pools_early(section: ClassificationSection) -> bool:
    """Whether a frozen network's head depends on features averaged over positions alone.

    Args:
        section: of the network.
    """
    return section.head == "linear" and not section.reads


def count_views(section: ClassificationSection) -> int:
    """Views of each image whose features are stored: 1, or 4 with its flips.

    Args:
        section: of the network.
    """
    return VIEWS if section.augment.flip or section.flips or section.balance else 1


def _kept(section: ClassificationSection, features: Tensor) -> Tensor:
    return features.mean((2, 3), keepdim=True) if pools_early(section) else features


def _identity(section: ClassificationSection) -> str:
    path = Path(str(section.weights))
    return sha256(path) if path.is_file() else str(section.weights)


def _save(path: Path, values: Tensor) -> None:
    np.save(path, np.ascontiguousarray(values.float().numpy(force=True)))


def _join(parts: list[Path], path: Path, name: str, rows: int) -> None:
    array: np.memmap | None = None
    for part in parts:
        values = np.load(part / name)
        if array is None:
            array = open_memmap(path, "w+", values.dtype, (rows, *values.shape[1:]))
        array[np.load(part / _ROWS)] = values
    if array is not None:
        array.flush()
