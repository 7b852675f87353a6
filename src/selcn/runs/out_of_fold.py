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
from selcn.labels import NO_MASKING
from selcn.models.cascade import Cascade, lesion_map
from selcn.models.explained import explain, explain_together
from selcn.models.features import pooled_features, watch_earlier
from selcn.models.heads import HeadOutput
from selcn.runs.features import pools_early
from selcn.runs.folder import (
    FEATURE_MAPS,
    FEATURE_VIEWS,
    FEATURES,
    FEATURES_EARLIER,
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
    lesion = member.segment(held.network, images)
    held.arrays.put(MASKS, held.images, held.rows, (lesion > LESION_THRESHOLD)[:, 0].to(torch.uint8))
    if held.run.graph.is_read(held.network):
        held.arrays.put(SALIENCY, held.images, held.rows, lesion_map(lesion)[:, 0])


def _segment_test(tested: _Assignment, images: Tensor) -> None:
    lesions = torch.stack([member.segment(tested.network, images)[:, 0] for member in tested.members])  # (K, n, H, W)
    read = tested.run.graph.is_read(tested.network)
    for number, lesion in enumerate(lesions):
        place = (number, tested.places)
        tested.arrays.put(MEMBER_MASKS, tested.tested, place, (lesion > LESION_THRESHOLD).to(torch.uint8))
        if read:
            tested.arrays.put(MEMBER_SALIENCY, tested.tested, place, lesion_map(lesion[:, None])[:, 0])
    together = lesions.mean(dim=0) > LESION_THRESHOLD
    tested.arrays.put(MASKS, tested.images, tested.rows, together.to(torch.uint8))
    if read:
        tested.arrays.put(SALIENCY, tested.images, tested.rows, lesion_map(together[:, None].float())[:, 0])


def _classify_fold(held: _Assignment, images: Tensor) -> None:
    run, arrays = held.run, held.arrays
    lesion, saliency = _inputs(run, held.network, held.rows, None, images)
    metadata = _metadata(run, held.network, held.rows, images)
    stored = _stored(run, held.network, held.rows, images.device)
    with watch_earlier(held.members[0].networks[held.network]) as earlier:
        output = _predict(held.members[0], held.network, stored or images, lesion, saliency, metadata)
    method = run.graph.classifiers[held.network].saliency
    arrays.put(PROBABILITIES, held.images, held.rows, output.logits.softmax(dim=1))
    arrays.put(SALIENCY, held.images, held.rows, explain(output, method=method)[:, 0])
    arrays.put(FEATURES, held.images, held.rows, pooled_features(output))
    if earlier:
        arrays.put(FEATURES_EARLIER, held.images, held.rows, earlier[0])  # of the upright view


def _classify_test(tested: _Assignment, images: Tensor) -> None:
    run, arrays, name = tested.run, tested.arrays, tested.network
    method, outputs = run.graph.classifiers[name].saliency, []
    metadata = _metadata(run, name, tested.rows, images)
    masked = run.graph.classifiers[name].masking != NO_MASKING
    stored = None if masked else _stored(run, name, tested.rows, images.device)
    for number, member in enumerate(tested.members):
        lesion, saliency = _inputs(run, name, tested.places, number, images)
        output = _predict(member, name, stored or images, lesion, saliency, metadata)
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
    """Mask (n, 1, H, W), left on the CPU for its masking, and saliency maps (n, 1, h, w) that a classifier reads.

    Out-of-fold ones for fold rows (``member`` is None), one member's for positions in the test subset.
    """

    def gather(source: str, whole: str, of_member: str) -> Tensor:
        array = run.output(source, whole) if member is None else run.output(source, of_member)[member]
        return gather_maps(array, rows)

    section, segmenter = run.graph.classifiers[network], run.graph.segmenter
    lesion: Tensor | None
    if section.masks == "true":
        lesion = gather_maps(run.store.masks, rows if member is None else run.test_rows[rows])
    else:
        masked = segmenter is not None and segmenter in run.graph.needs(network)
        lesion = gather(str(segmenter), MASKS, MEMBER_MASKS) if masked else None
    return lesion, [gather(source, SALIENCY, MEMBER_SALIENCY).to(images.device) for source in section.reads]


def _metadata(run: Run, network: str, rows: np.ndarray, images: Tensor) -> Tensor | None:
    metadata = run.metadata_of(network, rows)
    return None if metadata is None else metadata.to(images)


def _stored(run: Run, network: str, rows: np.ndarray, device: torch.device) -> list[Tensor] | None:
    """Features of a frozen backbone as `Cascade.classify_features` takes them; None of a network that has none."""
    source = run.graph.features_of(network)
    if source is None:
        return None
    views = torch.from_numpy(run.features(network, FEATURE_VIEWS)[rows]).to(device)
    pooled = pools_early(run.graph.classifiers[source])
    maps = torch.from_numpy(run.features(network, FEATURE_MAPS)[rows]).to(device) if pooled else views[:, 0]
    flips = run.graph.classifiers[network].flips
    return [maps, *(views.unbind(1)[1:] if flips else ())]


def _predict(
    member: Cascade,
    network: str,
    given: Tensor | list[Tensor],
    lesion: Tensor | None,
    saliency: list[Tensor],
    metadata: Tensor | None,
) -> HeadOutput:
    """Output of a classifier for images, or for the features of a frozen backbone."""
    if isinstance(given, list):
        return member.classify_features(network, given, saliency, metadata)
    images = given
    return member.classify(network, member.look(network, images, lesion), saliency, metadata, lesion)
