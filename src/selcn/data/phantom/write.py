"""A phantom data set on disk: images, masks, maps of asymmetry, catalog, contact sheet."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from selcn.data.catalog import write_catalog
from selcn.data.imaging.read import write_image
from selcn.data.phantom.appearance import draw_lesion
from selcn.data.phantom.photograph import Person, Photograph, take_photograph
from selcn.data.phantom.plan import LesionPlan, plan_lesions
from selcn.errors import ConfigError, DataError
from selcn.io.threads import thread_count

MIN_SIDE, MAX_SIDE = 48, 2048
IMAGES_WORTH_A_PROCESS = 60
"""Fewer images are drawn sooner than another process has started."""

Row = dict[str, str]


def write_phantom(
    out: Path,
    *,
    images: int,
    seed: int,
    size: tuple[int, int] = (160, 120),
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic data set with a lesion's one to four photographs under one ``lesion_id``.

    ``out`` receives ``images/``, ``masks/`` (0 or 255) and ``asymmetry/`` (0 to 255: where the lesion has what its
    mirror image lacks), one PNG an image, ``catalog.csv`` and ``contact-sheet.png``. The same ``images``, ``seed`` and
    ``size`` give the same bytes, whatever ``jobs`` is. Nothing stands under ``out`` before all of it does.

    Args:
        out: the folder to make; it must not exist.
        images: how many photographs.
        seed: of everything drawn, not negative.
        size: (width, height) of a photograph in pixels.
        jobs: processes that draw, by default one a processor.
        on_progress: called with the images done and all images, each time a lesion is done.

    Returns:
        The catalog's path.

    Raises:
        ConfigError: ``images``, ``seed``, ``size`` or ``jobs`` is out of range.
        DataError: ``out`` exists.
    """
    _validate(images, seed, size, jobs)
    if out.exists():
        raise DataError(f"{out}: exists already; choose another folder or remove this one first")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / out.name
        for name in ("images", "masks", "asymmetry"):
            (folder / name).mkdir(parents=True)
        _fill(folder, images, seed, size, jobs, on_progress)
        folder.rename(out)
    return out / "catalog.csv"


def _validate(images: int, seed: int, size: tuple[int, int], jobs: int | None) -> None:
    if images < 1:
        raise ConfigError(f"images: {images} is too few; ask for 1 or more")
    if seed < 0:
        raise ConfigError(f"seed: {seed} is negative; use 0 or more")
    if not MIN_SIDE <= min(size) <= max(size) <= MAX_SIDE:
        width, height = size
        raise ConfigError(f"size: {width}x{height} does not fit; use sides of {MIN_SIDE} to {MAX_SIDE} pixels")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs: {jobs} is too few; use 1 or more")


def _fill(
    folder: Path,
    images: int,
    seed: int,
    size: tuple[int, int],
    jobs: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    from selcn.data.phantom.contact_sheet import draw_contact_sheet  # here, or every drawing process loads matplotlib

    draw = partial(_draw_photographs, folder, seed, size)
    processes = jobs or min(thread_count(), max(1, images // IMAGES_WORTH_A_PROCESS))
    rows: list[Row] = []
    for drawn in _in_processes(draw, list(plan_lesions(images, seed)), processes):
        rows += drawn
        if on_progress is not None:
            on_progress(len(rows), images)
    table = pd.DataFrame(rows).sort_values("image_id", ignore_index=True)
    draw_contact_sheet(table, folder / "contact-sheet.png")
    write_catalog(table, folder / "catalog.csv")


def _in_processes(
    draw: Callable[[LesionPlan], list[Row]], plans: list[LesionPlan], processes: int
) -> Iterator[list[Row]]:
    """Draw the lesions, in any order."""
    if processes == 1:
        yield from map(draw, plans)
        return
    # One thread a process, or OpenCV's would fight for the same processors.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        futures = [pool.submit(draw, plan) for plan in plans]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def photograph_lesion(plan: LesionPlan, seed: int, size: tuple[int, int]) -> Iterator[Photograph]:
    """Draw a lesion and take its photographs, ``size`` (width, height).

    The lesion and what surrounds it are drawn from separate streams of random numbers, so neither tells of the other.

    Args:
        plan: of the lesion.
        seed: of the data set.
        size: width and height in pixels.
    """
    lesion_rng, surroundings_rng = np.random.default_rng([seed, plan.number, 2]).spawn(2)
    lesion = draw_lesion(lesion_rng, plan.diagnosis, plan.symmetry, resolution=2 * min(size))
    person = Person.draw(surroundings_rng)
    for rng in surroundings_rng.spawn(plan.photographs):
        yield take_photograph(lesion, person, rng, size)


def _draw_photographs(folder: Path, seed: int, size: tuple[int, int], plan: LesionPlan) -> list[Row]:
    """Write the photographs of one lesion; their rows of the catalog, with absolute paths."""
    rows = []
    for number, photograph in enumerate(photograph_lesion(plan, seed, size), plan.first_image):
        image_id = f"PH_{number:07d}"
        row = {
            "image_id": image_id,
            "image_path": str(folder / "images" / f"{image_id}.png"),
            "mask_path": str(folder / "masks" / f"{image_id}.png"),
            "lesion_id": f"PHL_{plan.number:05d}",
            "patient_id": "",
            "diagnosis": plan.diagnosis,
            "symmetry": plan.symmetry,
            "source": "phantom",
            "asymmetry_path": str(folder / "asymmetry" / f"{image_id}.png"),
        }
        write_image(Path(row["image_path"]), photograph.image)
        write_image(Path(row["mask_path"]), photograph.mask)
        write_image(Path(row["asymmetry_path"]), photograph.asymmetry)
        rows.append(row)
    return rows
