"""`predict`, `prepare`, `saliency` and `audit` shared out as jobs: what one process writes, byte for byte."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from selcn.config.sections import Hair
from selcn.data.audit.inspection import Inspected, inspect_all, read_inspected, write_inspected
from selcn.data.imaging.address import file_states
from selcn.data.store.build import build_store, fill_arrays, is_filled
from selcn.data.store.store import Store
from selcn.errors import RunError
from selcn.inference.batch import ROWS, OutputOptions, predict_files, predict_plan, read_rows
from selcn.inference.given_table import GivenRow, GivenTable
from selcn.inference.inputs import Item
from selcn.inference.predictor import load
from selcn.inference.stream import BATCH, distinct_stems, plan_digest, whole_plan
from selcn.io.files import remove_folder, write_text, written_whole
from selcn.io.resume import SHARDS, OnProgress, folder_of_job, work_in_parts, working_folder
from selcn.io.tables import LINE, lines
from selcn.runs.jobs import Cluster
from selcn.runs.shards import Do, do_in_jobs

FAULTS, MAPS = "faults.json", "maps"
Asked = tuple[Item, str, GivenRow | None]
"""A file, the name of what is written of it, and what is given of it."""
IMAGES_WRITTEN = ("overlays", "masks", "segmentations")


@dataclass(frozen=True)
class BundleInJobs:
    """A bundle, and how jobs run it.

    Attributes:
        folder: of the bundle, or its address on the hub.
        engine: what runs it.
        devices: of PyTorch, between commas.
    """

    folder: Path
    engine: str
    devices: str


@dataclass(frozen=True)
class PredictWork:
    """Prediction of some files of a command.

    Attributes:
        bundle: that predicts.
        source: identifies bundle and engine.
        options: what is written beside the rows.
        given: digest of what is given of all files; "" for nothing.
        out: folder that images are written to.
    """

    bundle: BundleInJobs
    source: str
    options: OutputOptions
    given: str
    out: Path

    def open(self) -> Do:
        """Load the bundle."""
        folder, engine = self.bundle.folder, self.bundle.engine
        predictors = [load(folder, device.strip(), engine=engine) for device in self.bundle.devices.split(",")]
        if f"{predictors[0].digest} {engine}" != self.source:
            raise RunError(f"{folder}: was changed while jobs predicted with it; start again")

        def do(inputs: Sequence[Asked], folder: Path) -> None:
            items, stems, rows = zip(*inputs, strict=True)
            known = {number: row for number, row in enumerate(rows) if row is not None}
            given = GivenTable(known, self.given) if self.given else None
            predict_files(predictors, items, folder, options=self.options, given=given, source=self.source, stems=stems)
            for name in IMAGES_WRITTEN:
                _move_files(folder / name, self.out / name)

        return do


def predict_in_jobs(
    cluster: Cluster,
    bundle: BundleInJobs,
    items: Sequence[Item],
    out: Path,
    *,
    options: OutputOptions,
    given: GivenTable | None = None,
    source: str = "",
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Do what `selcn.inference.batch.predict_files` does, in jobs; resumable.

    Args:
        cluster: where jobs run.
        bundle: that predicts.
        items: files to predict.
        out: folder of this job alone.
        options: what to write beside the rows.
        given: results of these files that go before predicted ones.
        source: identifies bundle and engine.
        on_progress: called with files done and files in all.

    Returns:
        The error of each file that cannot be read.

    Raises:
        DataError: another process works in ``out``, or it holds something else.
        RunError: a job failed for good.
    """
    plan = whole_plan(predict_plan(options, given, source), items)
    work = PredictWork(bundle, source, options, given.digest if given else "", out.absolute())
    rows = given.rows if given else {}
    names = distinct_stems(items)
    inputs = [(item, stem, rows.get(number)) for number, (item, stem) in enumerate(zip(items, names, strict=True))]
    with folder_of_job(out, plan):
        folders = do_in_jobs(
            cluster, out / SHARDS, plan_digest(plan), inputs, work, batch=BATCH, on_progress=on_progress
        )
        with written_whole(out / ROWS) as whole, whole.open("wb") as joined:
            for folder in folders:
                with (folder / ROWS).open("rb") as part:
                    shutil.copyfileobj(part, joined)
        remove_folder(out / SHARDS)
    return [row["error"] for row in read_rows(out / ROWS) if "error" in row]


def _move_files(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            path.replace(target / path.name)


@dataclass(frozen=True)
class PrepareWork:
    """Preparation of some rows of a catalog.

    Attributes:
        size: width and height in pixels.
        hair: whether hair is removed first.
    """

    size: tuple[int, int]
    hair: Hair

    def open(self) -> Do:
        """Nothing is loaded."""

        def do(inputs: pd.DataFrame, folder: Path) -> None:
            faults = fill_arrays(inputs, folder, size=self.size, hair=self.hair)
            write_text(folder / FAULTS, json.dumps(faults))

        return do


def prepare_in_jobs(
    cluster: Cluster, work: PrepareWork, table: pd.DataFrame, out: Path, on_progress: OnProgress | None = None
) -> Store:
    """Do what `selcn.data.store.build.build_store` does, in jobs; resumable.

    Args:
        cluster: where jobs run.
        work: what they do.
        table: a validated catalog.
        out: the folder to make.
        on_progress: called with images done and images in all.

    Raises:
        DataError: as for `build_store`.
        RunError: a job failed for good.
    """
    numbered = table.set_axis(pd.Index(lines(table), name=LINE))

    def share(folder: Path, plan: str) -> tuple[list[Path], list[str]]:
        folders = do_in_jobs(cluster, folder, plan, numbered, work, whole=is_filled, on_progress=on_progress)
        faults = [json.loads((one / FAULTS).read_text(encoding="utf-8")) for one in folders]
        return folders, [fault for some in faults for fault in some]

    return build_store(table, out, size=work.size, hair=work.hair, share=share)


@dataclass(frozen=True)
class SaliencyWork:
    """Explanation of some batches of a saliency job.

    Attributes:
        source: a bundle, a run, or the folder of one of its networks.
        images: a catalog, or images and folders of them; empty for the run's own.
        network: name of the explained network; None for the target.
        method: name of a saliency method; None for the network's own.
        layer: name of a layer; None for the head's input.
        device: to run on.
        target: name of the class to explain; None for the predicted class of each image.
    """

    source: Path
    images: tuple[Path, ...]
    network: str | None
    method: str | None
    layer: str | None
    device: str
    target: str | None

    def open(self) -> Do:
        """Load the networks."""
        from selcn.explain.runner import batch_writer
        from selcn.runs.saliency_jobs import open_job
        from selcn.saliency.maps import seal_parts

        job = open_job(self.source, self.images, self.network, method=self.method, layer=self.layer, device=self.device)
        explain = batch_writer(job, self.target)

        def do(inputs: range, folder: Path) -> None:
            def explain_one(number: int, part: Path) -> None:
                explain(inputs[number], part)

            work_in_parts(folder / MAPS, job.origin, len(inputs), explain_one, seal_parts)

        return do


def share_saliency(
    cluster: Cluster, work: SaliencyWork, batches: int, on_progress: OnProgress | None = None
) -> Callable[[Path, str], list[Path]]:
    """What `selcn.explain.runner.write_saliency` takes as ``share``, to explain in jobs.

    Args:
        cluster: where jobs run.
        work: what they do.
        batches: of the whole saliency job.
        on_progress: called with batches done and batches in all.
    """
    from selcn.explain.job import BATCH as IMAGES

    def share(folder: Path, plan: str) -> list[Path]:
        folders = do_in_jobs(cluster, folder, plan, range(batches), work, unit=IMAGES, on_progress=on_progress)
        return [one / MAPS for one in folders]

    return share


@dataclass(frozen=True)
class InspectWork:
    """Inspection of some rows of a catalog."""

    def open(self) -> Do:
        """Nothing is loaded."""

        def do(inputs: pd.DataFrame, folder: Path) -> None:
            write_inspected(list(inspect_all(inputs)), folder)

        return do


@contextmanager
def inspected_in_jobs(
    cluster: Cluster, table: pd.DataFrame, out: Path, on_progress: OnProgress | None = None
) -> Iterator[Iterator[Inspected]]:
    """What `selcn.data.audit.inspection.inspect` says of each row, in order, found in jobs; resumable.

    It is kept beside ``out`` until the block ends.

    Args:
        cluster: where jobs run.
        table: a validated catalog.
        out: the file that findings are written to in the block.
        on_progress: called with images done and images in all.

    Raises:
        DataError: another process works on it.
        RunError: a job failed for good.
    """
    files = table[["image_path", "mask_path"]]
    states = file_states([path for path in files.to_numpy().ravel() if path])
    plan = json.dumps({"audit": hashlib.sha256(json.dumps([files.to_numpy().tolist(), states]).encode()).hexdigest()})
    with working_folder(out, plan) as work:
        folders = do_in_jobs(cluster, work / SHARDS, plan, files, InspectWork(), on_progress=on_progress)
        yield (one for folder in folders for one in read_inspected(folder))
