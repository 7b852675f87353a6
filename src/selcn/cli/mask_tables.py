"""Tables that `evaluate` prints of a run's masks: their borders, and what is recommended for masks."""

from pathlib import Path
from typing import NamedTuple

from selcn.cli.metric_tables import print_by_file, print_recommended
from selcn.errors import RunError


class BorderRequest(NamedTuple):
    """Which scores of a run's masks by their borders are to be printed, and how.

    Attributes:
        folder: of the run.
        tolerance: in pixels of the store, with a spacing in millimetres.
        spacing: millimetres from pixel to pixel.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        json: whether to print JSON.
        profile: whether the recommended metrics are wanted, those of overlap too.
    """

    folder: Path
    tolerance: float
    spacing: float | None
    resamples: int
    seed: int
    json: bool
    profile: bool


def print_surfaces(request: BorderRequest) -> None:
    """Print scores of a run's masks by their borders, or what Metrics Reloaded recommends of masks.

    Args:
        request: of which run, and how.

    Raises:
        ConfigError: the tolerance is below one pixel.
        RunError: the run has no masks to score.
    """
    import pandas as pd

    from selcn.evaluation import summarise_surfaces, surface_scores
    from selcn.evaluation.reloaded import for_masks, recommended_table
    from selcn.evaluation.segmentation import summarise_segmentation
    from selcn.evaluation.surfaces import in_pixels
    from selcn.runs.predictions import score_masks
    from selcn.runs.run import open_run

    folder, tolerance, spacing, resamples, seed, json, profile = request
    in_pixels(tolerance, spacing)  # refused before the run is read
    run = open_run(folder)
    if run.graph.segmenter is None:
        raise RunError(f"{folder}: has no segmentation network, whose masks --tolerance would score")
    scores = score_masks(run, lambda truth, found: surface_scores(truth, found, tolerance=tolerance, spacing=spacing))
    overlaps = run.scores()
    if scores.empty or overlaps is None:
        raise RunError(f"{folder}: no image has a true mask; give a run of a catalog with masks")
    table = summarise_surfaces(scores, resamples=resamples, seed=seed)
    if not profile:
        print_by_file(table.assign(file=run.graph.segmenter), json=json)
        return
    overlap = summarise_segmentation(overlaps, resamples=resamples, seed=seed)
    found = for_masks(measured=True)
    recommended = recommended_table(pd.concat([overlap, table], ignore_index=True), found)
    print_recommended([(run.graph.segmenter, found, recommended)], json=json)
