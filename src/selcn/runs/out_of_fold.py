"""Out-of-fold and test outputs: each fold by the member that was not trained on it, the test subset by all members.

Member k is trained without fold k and without the test subset. Its outputs for fold k train later networks; on the test
subset each member reads its own earlier outputs, and the ensemble is their mean. A network passes over each image once,
except to score saliency: training, prediction files, mask scores and reliability all use the same outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from selcn.data.datasets import as_floats, gather_images, gather_maps, in_batches
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.io.progress import OnProgress
from selcn.models.cascade import Cascade, explain, explain_together
from selcn.models.features import pooled_features
from selcn.models.heads import HeadOutput
from selcn.runs.folder import (
    FEATURES,
    MASKS,
    MEMBER_MASKS,
    MEMBER_PROBABILITIES,
    MEMBER_SALIENCY,
    PROBABILITIES,
    SALIENCY,
)
from selcn.runs.run import Run

Place = np.ndarray | tuple[int, np.ndarray]
"""Index of array rows: catalog rows, or a member's number with positions in the test subset."""


@dataclass
class _Arrays:
    """Memory-mapped arrays in a folder, created when the shape of a row is known.

    Attributes:
        folder: to write to.
        open: by file name.
    """

    folder: Path
    open: dict[str, np.memmap] = field(default_factory=dict)

    def put(self, name: str, shape: tuple[int, ...], place: Place, values: Tensor | np.ndarray) -> None:
        """Write values (n, ...) to rows of an array whose leading dimensions are ``shape``."""
        array = values.numpy(force=True) if isinstance(values, Tensor) else values
        if name not in self.open:
            self.open[name] = open_memmap(self.folder / name, "w+", array.dtype, (*shape, *array.shape[1:]))
        self.open[name][place] = array

    def flush(self) -> None:
        """Write everything to disk."""
        for array in self.open.values():
            array.flush()


@torch.inference_mode()
def write_outputs(run: Run, network: str, out: Path, device: torch.device, on_progress: OnProgress) -> None:
    """Write the members' outputs of a trained network for every image; see `selcn.runs.folder` for the files.

    Rows are the catalog's, zeros for images in no subset, of features for test images too. Arrays of single members are
    (members, test images, ...).

    Args:
        run: whose earlier networks' outputs exist.
        network: its name.
        out: folder to write to.
        device: where the networks run.
        on_progress: called with images done and images in all.
    """
    members = [run.cascade(fold, [network]) for fold in range(run.split.folds)]
    for member in members:
        member.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    arrays = _Arrays(out)
    segments = network == run.graph.segmenter
    on_fold, on_test = (_segment_fold, _segment_test) if segments else (_classify_fold, _classify_test)
    total, done = sum(map(len, run.fold_rows)) + len(run.test_rows), 0
    for batch, work in _batches(run, network, members, arrays, on_fold, on_test):
        work(as_floats(gather_images(run.store, batch).to(device)))
        done += len(batch)
        on_progress(done, total)
    arrays.flush()


@dataclass(frozen=True)
class _Assignment:
    """A batch of rows, and the members that predict them.

    Attributes:
        run: that is predicted.
        network: whose outputs are written.
        members: one for the rows of its fold, all for those of the test subset.
        first: number of the first member.
        rows: int (n,), in the catalog.
        places: int (n,), positions in the test subset; empty for fold rows.
        arrays: to write to.
    """

    run: Run
    network: str
    members: Sequence[Cascade]
    first: int
    rows: np.ndarray
    places: np.ndarray
    arrays: _Arrays

    @property
    def images(self) -> tuple[int]:
        """Leading dimension of an array over all images."""
        return (len(self.run.table),)

    @property
    def tested(self) -> tuple[int, int]:
        """Leading dimensions of an array over members and test images."""
        return len(self.members), len(self.run.test_rows)


def _batches(
    run: Run,
    network: str,
    members: Sequence[Cascade],
    arrays: _Arrays,
    on_fold: Callable[[_Assignment, Tensor], None],
    on_test: Callable[[_Assignment, Tensor], None],
) -> Iterator[tuple[np.ndarray, Callable[[Tensor], None]]]:
    """Rows in batches, and the function that predicts their images."""
    nowhere = np.empty(0, dtype=np.int64)
    for fold, rows in enumerate(run.fold_rows):
        for batch in in_batches(rows):
            held = _Assignment(run, network, [members[fold]], fold, batch, nowhere, arrays)
            yield batch, lambda images, held=held: on_fold(held, images)  # type: ignore[misc]
    for places in in_batches(np.arange(len(run.test_rows))):
        batch = run.test_rows[places]
        tested = _Assignment(run, network, members, 0, batch, places, arrays)
        yield batch, lambda images, tested=tested: on_test(tested, images)  # type: ignore[misc]


def _segment_fold(held: _Assignment, images: Tensor) -> None:
    (member,) = held.members
    lesion = member.segment(held.network, images) > LESION_THRESHOLD
    held.arrays.put(MASKS, held.images, held.rows, lesion[:, 0].to(torch.uint8))


def _segment_test(tested: _Assignment, images: Tensor) -> None:
    lesions = torch.stack([member.segment(tested.network, images)[:, 0] for member in tested.members])  # (K, n, H, W)
    for number, lesion in enumerate(lesions > LESION_THRESHOLD):
        tested.arrays.put(MEMBER_MASKS, tested.tested, (number, tested.places), lesion.to(torch.uint8))
    together = lesions.mean(dim=0) > LESION_THRESHOLD
    tested.arrays.put(MASKS, tested.images, tested.rows, together.to(torch.uint8))


def _classify_fold(held: _Assignment, images: Tensor) -> None:
    run, arrays = held.run, held.arrays
    lesion, saliency = _inputs(run, held.network, held.rows, None, images)
    output = _predict(held.members[0], held.network, images, lesion, saliency)
    method = run.graph.classifiers[held.network].saliency
    arrays.put(PROBABILITIES, held.images, held.rows, output.logits.softmax(dim=1))
    arrays.put(SALIENCY, held.images, held.rows, explain(output, method=method)[:, 0])
    arrays.put(FEATURES, held.images, held.rows, pooled_features(output))


def _classify_test(tested: _Assignment, images: Tensor) -> None:
    run, arrays, name = tested.run, tested.arrays, tested.network
    method, outputs = run.graph.classifiers[name].saliency, []
    for number, member in enumerate(tested.members):
        lesion, saliency = _inputs(run, name, tested.places, number, images)
        output = _predict(member, name, images, lesion, saliency)
        outputs.append(output)
        place = (number, tested.places)
        arrays.put(MEMBER_PROBABILITIES, tested.tested, place, output.logits.softmax(dim=1))
        if run.graph.is_read(name):
            arrays.put(MEMBER_SALIENCY, tested.tested, place, explain(output, method=method)[:, 0])
    explained = explain_together(outputs, method=method)
    arrays.put(PROBABILITIES, tested.images, tested.rows, explained.probabilities)
    arrays.put(SALIENCY, tested.images, tested.rows, explained.saliency[:, 0])


def _inputs(
    run: Run, network: str, rows: np.ndarray, member: int | None, images: Tensor
) -> tuple[Tensor | None, list[Tensor]]:
    """Mask (n, 1, H, W) and saliency maps (n, 1, h, w) that a classifier reads.

    Out-of-fold ones for fold rows (``member`` is None), one member's for positions in the test subset.
    """

    def gather(source: str, whole: str, of_member: str) -> Tensor:
        array = run.output(source, whole) if member is None else run.output(source, of_member)[member]
        return gather_maps(array, rows).to(images.device)

    section, segmenter = run.graph.classifiers[network], run.graph.segmenter
    lesion: Tensor | None
    if section.masks == "true":
        lesion = gather_maps(run.store.masks, rows if member is None else run.test_rows[rows]).to(images.device)
    else:
        masked = segmenter is not None and segmenter in run.graph.needs(network)
        lesion = gather(str(segmenter), MASKS, MEMBER_MASKS) if masked else None
    return lesion, [gather(source, SALIENCY, MEMBER_SALIENCY) for source in section.reads]


def _predict(
    member: Cascade, network: str, images: Tensor, lesion: Tensor | None, saliency: list[Tensor]
) -> HeadOutput:
    return member.classify(network, member.look(network, images, lesion), saliency, lesion)
