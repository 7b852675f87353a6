"""Tables that `evaluate` prints where more than the usual metrics is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from selcn.errors import ConfigError, RunError

if TYPE_CHECKING:
    import pandas as pd

    from selcn.evaluation import Further
    from selcn.labels import LabelSet


class SetsAsked(NamedTuple):
    """Which prediction sets are asked for.

    Attributes:
        coverage: `--conformal`.
        by: `--by`.
        catalog: `--catalog`.
        labels: `--labels`.
        network: `--network`.
        calibrate: `--temperature`.
    """

    coverage: float
    by: Sequence[str]
    catalog: Path | None
    labels: str | None
    network: str | None
    calibrate: bool


def print_by_file(table: "pd.DataFrame", *, json: bool) -> None:
    """Print a table, file by file, or as JSON.

    Args:
        table: with the column ``file``.
        json: whether as JSON.
    """
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    for name, rows in table.groupby("file", sort=False):
        typer.echo(f"{name}\n{rows.drop(columns='file').to_string(index=False, float_format='{:.3f}'.format)}\n")


def print_profile(
    files: Sequence[Path],
    further: "Further",
    labels: str | None,
    resamples: int,
    seed: int,
    *,
    calibrate: bool,
    json: bool,
) -> None:
    """Print what Metrics Reloaded recommends for each file and why, and those metrics.

    Args:
        files: of predictions or segmentation scores.
        further: with costs and prevalence.
        labels: a label set's name, file or YAML.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        calibrate: whether to rescale by a temperature.
        json: whether to print JSON: a metric a row, with its question and reason.
    """
    import pandas as pd

    from selcn.evaluation import evaluate_by_profile

    label_set, tables = _label_set(labels), []
    for path in files:
        found, table = evaluate_by_profile(
            path, further, labels=label_set, calibrate=calibrate, resamples=resamples, seed=seed
        )
        reasons = {one.question: one.reason for one in found}
        if json:
            asked = pd.DataFrame(reasons.items(), columns=["question", "reason"])
            tables.append(asked.merge(table, how="left", on="question").assign(file=path.name))
            continue
        typer.echo("\n".join([path.name, *(f"- {question}? {reason}" for question, reason in reasons.items())]))
        typer.echo(f"{table.drop(columns='question').to_string(index=False, float_format='{:.3f}'.format)}\n")
    if json:
        print_by_file(pd.concat(tables, ignore_index=True), json=True)


def print_curves(
    files: Sequence[Path],
    further: "Further",
    labels: str | None,
    resamples: int,
    seed: int,
    *,
    positive: str,
    calibrate: bool,
    json: bool,
) -> None:
    """Print the decision curve of each file.

    Args:
        files: of class probabilities.
        positive: the class, or `malignant`.
        further: with the prevalence of the class, where one is stated.
        labels: a label set's name, file or YAML.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        calibrate: whether to rescale by a temperature.
        json: whether to print JSON.
    """
    import pandas as pd

    from selcn.evaluation import decision_curve, fit_temperature, read_predictions

    label_set, tables, share = _label_set(labels), [], further.prevalence.get(positive)
    for path in files:
        predictions = read_predictions(path, label_set)
        rescaled = fit_temperature(predictions).of(predictions) if calibrate else predictions
        curve = decision_curve(rescaled, positive, prevalence=share, resamples=resamples, seed=seed)
        tables.append(curve.assign(file=path.name))
    print_by_file(pd.concat(tables, ignore_index=True), json=json)


def print_prediction_sets(paths: Sequence[Path], asked: SetsAsked, resamples: int, seed: int, *, json: bool) -> None:
    """Print coverage and size of prediction sets on the test subset, by class and subgroup.

    Args:
        paths: files of class probabilities, or folders of runs.
        asked: which sets.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        json: whether to print JSON.

    Raises:
        ConfigError: --by without --catalog or the other way round, or a coverage that cannot be reached.
    """
    import pandas as pd

    from selcn.evaluation import fit_temperature, prediction_set_table, read_predictions
    from selcn.io.tables import read_table
    from selcn.runs.run import open_run

    if bool(asked.by) != bool(asked.catalog):
        raise ConfigError("--by and --catalog: give both, or neither")
    facts, label_set, tables = (
        read_table(asked.catalog, ["image_id"]) if asked.catalog else None,
        _label_set(asked.labels),
        [],
    )
    for path in paths:
        _refuse_unused(path, asked)
        if path.is_dir():
            run = open_run(path)
            predictions = run.predictions(run.known(asked.network))
        else:
            predictions = read_predictions(path, label_set)
        rescaled = fit_temperature(predictions).of(predictions) if asked.calibrate else predictions
        table = prediction_set_table(rescaled, asked.coverage, facts, asked.by, resamples=resamples, seed=seed)
        tables.append(table.assign(file=path.name))
    print_by_file(pd.concat(tables, ignore_index=True), json=json)


def print_surfaces(
    folder: Path, tolerance: float | None, spacing: float | None, resamples: int, seed: int, *, json: bool
) -> None:
    """Print scores of a run's masks by their borders.

    Args:
        folder: of the run.
        tolerance: in pixels of the store, with a spacing in millimetres.
        spacing: millimetres from pixel to pixel.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        json: whether to print JSON.

    Raises:
        ConfigError: no tolerance, or it is below one pixel.
        RunError: the run has no masks to score.
    """
    from selcn.evaluation import summarise_surfaces, surface_scores
    from selcn.evaluation.surfaces import in_pixels
    from selcn.runs.predictions import score_masks
    from selcn.runs.run import open_run

    if tolerance is None:
        raise ConfigError("--spacing: give --tolerance as well, in millimetres")
    in_pixels(tolerance, spacing)  # refused before the run is read
    run = open_run(folder)
    if run.graph.segmenter is None:
        raise RunError(f"{folder}: has no segmentation network, whose masks --tolerance would score")
    scores = score_masks(run, lambda truth, found: surface_scores(truth, found, tolerance=tolerance, spacing=spacing))
    if scores.empty:
        raise RunError(f"{folder}: no image has a true mask; give a run of a catalog with masks")
    print_by_file(
        summarise_surfaces(scores, resamples=resamples, seed=seed).assign(file=run.graph.segmenter), json=json
    )


def _refuse_unused(path: Path, asked: SetsAsked) -> None:
    """Refuse what a run, or a file, has itself or does not have."""
    unused = asked.labels and "--labels" if path.is_dir() else asked.network and "--network"
    if unused:
        what = "a run, which has its own label sets" if path.is_dir() else "a file, which is of one network"
        raise ConfigError(f"{unused}: {path} is {what}; leave it out")


def _label_set(labels: str | None) -> "LabelSet | None":
    from selcn.config import read_label_set

    return read_label_set(labels) if labels else None
