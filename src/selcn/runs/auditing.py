"""What a run's networks tell of its data: labels that are probably wrong, and crops and re-photographs of a lesion.

```
OUT/
  labels.csv    images whose label is confidently another, the surest first
  joint.csv     estimated number of images by given label (rows) and true label (columns)
  pairs.csv     pairs of images under different lesions that show one lesion, the most similar first
  features/     pooled features of every image, which pairs are sought among; resumable
```
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from selcn.data.catalog import groups
from selcn.data.datasets import as_floats, in_batches
from selcn.data.rephotographs import find_pairs, middle, neighbours
from selcn.errors import ConfigError
from selcn.evaluation.label_errors import LabelErrors, find_label_errors
from selcn.io.files import write_text
from selcn.io.progress import ShowProgress, show_nothing
from selcn.io.resume import work_in_parts
from selcn.io.tables import guarded
from selcn.models.classifier import Classifier
from selcn.runs.run import Run

FEATURES, LABELS, JOINT, PAIRS = "features", "labels.csv", "joint.csv", "pairs.csv"
_FILE = "features.npy"
_DESCRIBED = ("lesion_id", "diagnosis")


@dataclass(frozen=True, eq=False)
class RunAudit:
    """What was found.

    Attributes:
        network: whose predictions and features were used.
        errors: labels that are probably wrong; None where none of its images is labelled.
        pairs: ``first, second``, then of each ``lesion_id``, ``diagnosis`` and ``subset``, ``leaks`` (the two lie in
            different subsets), ``known`` (the split keeps them together as near-duplicates), ``cosine, inliers,
            scale, overlap, similarity``.
        images: how many were compared.
    """

    network: str
    errors: LabelErrors | None
    pairs: pd.DataFrame
    images: int


def audit_run(
    run: Run,
    out: Path,
    network: str | None = None,
    *,
    device: str = "cpu",
    jobs: int | None = None,
    show: ShowProgress = show_nothing,
) -> RunAudit:
    """Find labels that are probably wrong, and images of one lesion under different lesions; write both as tables.

    Labels are judged by predictions of networks that were not trained on the image. Features are those of the member
    without the first fold, of the whole image.

    Args:
        run: whose predictions have been written.
        out: folder to write to, see the module.
        network: name of a classifier; None for the target, or the first classifier where that is none.
        device: where the network runs.
        jobs: threads that verify pairs, all cores by default.
        show: shows the progress of the two long steps.

    Raises:
        ConfigError: the run has no such classifier, or it has no backbone.
        RunError: its training has not finished.
        DataError: ``out`` holds features of another run or network.
    """
    name = _classifier(run, network)
    file = run.folder.prediction_file(name)
    errors = find_label_errors(run.predictions(name)) if file.is_file() else None
    with show("features") as on_progress:
        work_in_parts(
            out / FEATURES,
            {"network": name, "weights": run.weights_hash([name], [0]), "catalog": run.split.catalog},
            len(in_batches(np.arange(len(run.table)))),
            _Pooled(run, name, device),
            _join,
            on_progress,
        )
    features = np.load(out / FEATURES / _FILE)
    lesions = groups(run.table).to_numpy()
    candidates = [one for one in neighbours(features) if lesions[one[0]] != lesions[one[1]]]
    with show("pairs") as on_progress:
        found = find_pairs(
            lambda row: np.asarray(run.store.images[row]), candidates, jobs=jobs, on_progress=on_progress
        )
    pairs = _described(run, pd.DataFrame([vars(one) for one in found], columns=list(_COLUMNS)))
    audit = RunAudit(name, errors, pairs, len(run.table))
    _write(audit, out)
    return audit


_COLUMNS = ("first", "second", "cosine", "inliers", "scale", "overlap", "similarity")


class _Pooled:
    """Writes the pooled features of a batch of images, given its number and a folder."""

    def __init__(self, run: Run, network: str, device: str) -> None:
        self.run, self.batches = run, in_batches(np.arange(len(run.table)))
        classifier = run.network(network, 0)
        assert isinstance(classifier, Classifier)
        self.classifier = classifier.to(device).eval()
        self.device = device

    def __call__(self, part: int, folder: Path) -> None:
        images = np.asarray(self.run.store.images[self.batches[part]])
        np.save(folder / _FILE, pooled_features(self.classifier, images, self.device))


@torch.inference_mode()
def pooled_features(classifier: Classifier, images: np.ndarray, device: str = "cpu") -> np.ndarray:
    """A classifier's features of images and of their middles, averaged over positions, float32 (n, 2, C).

    Args:
        classifier: in eval mode, on the device.
        images: uint8 RGB (n, H, W, 3).
        device: of the classifier.
    """
    views = [images, np.stack([middle(image) for image in images])]
    batches = [as_floats(torch.from_numpy(view).permute(0, 3, 1, 2).to(device)) for view in views]
    pooled = [classifier.features(batch).mean((2, 3)).float().numpy(force=True) for batch in batches]
    return np.stack(pooled, axis=1)


def _join(parts: list[Path], folder: Path) -> None:
    np.save(folder / _FILE, np.concatenate([np.load(part / _FILE) for part in parts]))


def _classifier(run: Run, network: str | None) -> str:
    with_backbone = [name for name, section in run.graph.classifiers.items() if not section.measured]
    name = network or (run.graph.target if run.graph.target in with_backbone else next(iter(with_backbone), None))
    if name not in with_backbone:
        asked = f"no classifier {network} with a backbone" if network else "no classifier with a backbone"
        there = f"; it has {', '.join(with_backbone)}" if with_backbone else ", whose features could be compared"
        raise ConfigError(f"{run.folder.path}: has {asked}{there}")
    return name


def _described(run: Run, pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with the image_id, lesion, diagnosis and subset of both."""
    subset = run.table["image_id"].map(run.split.part)
    duplicates = {frozenset(pair) for pair in run.split.duplicates}
    columns: dict[str, object] = {}
    for which in ("first", "second"):
        rows = pairs[which].to_numpy(dtype=int)
        columns[which] = run.table["image_id"].to_numpy()[rows]
        columns |= {f"{name}_{which}": run.table[name].to_numpy()[rows] for name in _DESCRIBED}
        columns[f"subset_{which}"] = subset.to_numpy()[rows]
    table = pd.DataFrame(columns)
    table["leaks"] = table["subset_first"] != table["subset_second"]
    both = zip(table["first"], table["second"], strict=True)
    table["known"] = [frozenset(pair) in duplicates for pair in both]
    return pd.concat([table, pairs[list(_COLUMNS[2:])]], axis=1)


def _write(audit: RunAudit, out: Path) -> None:
    tables = {PAIRS: audit.pairs}
    if audit.errors is not None:
        tables |= {LABELS: audit.errors.table}
        write_text(out / JOINT, audit.errors.joint.to_csv(float_format="%.1f", lineterminator="\n"))
    for name, table in tables.items():
        write_text(out / name, guarded(table).to_csv(index=False, float_format="%.4f", lineterminator="\n"))
