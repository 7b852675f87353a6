"""Tables that `evaluate` prints where more than the usual metrics is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from selcn.cli.options import progress
from selcn.errors import ConfigError, RunError

if TYPE_CHECKING:
    import pandas as pd

    from selcn.evaluation import Further, Predictions
    from selcn.evaluation.reloaded import Recommendation
    from selcn.labels import LabelSet
    from selcn.runs.run import Run


class MetricRequest(NamedTuple):
    """Which metrics of prediction files are to be printed, and how.

    Attributes:
        files: of predictions or scores.
        further: metrics beside the usual ones, with costs and prevalence.
        labels: a label set's name, file or YAML; None for that of the file.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        calibrate: whether to recalibrate first.
        json: whether to print JSON.
    """

    files: Sequence[Path]
    further: "Further"
    labels: str | None
    resamples: int
    seed: int
    calibrate: bool
    json: bool


class SetRequest(NamedTuple):
    """Which prediction sets are to be measured.

    Attributes:
        coverage: `--conformal`.
        by: `--by`.
        catalog: `--catalog`.
        labels: `--labels`.
        network: `--network`.
        calibrate: `--calibrate`.
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


def print_requested(
    request: MetricRequest,
    decision_curve: str | None,
    by: Sequence[str] | None,
    catalog: Path | None,
    network: str | None,
    *,
    profile: bool,
) -> None:
    """Print metrics of files, or what else is asked for of them.

    Args:
        request: which files and metrics.
        decision_curve: the class whose decision curve is wanted.
        by: columns of the catalog whose subgroups are wanted.
        catalog: with a row for each image; None of a run, which has its own.
        network: of a run, whose subgroups are wanted; None for its target.
        profile: whether the recommended metrics are wanted.
    """
    if decision_curve:
        print_curves(request, decision_curve)
    elif profile:
        print_profile(request)
    elif by and catalog:
        print_subgroups(request, by, catalog)
    elif by:
        print_run_subgroups(request, network, by)
    else:
        print_metrics(request)


def print_metrics(request: MetricRequest) -> None:
    """Print the metrics of each file.

    Args:
        request: which.
    """
    import pandas as pd

    from selcn.evaluation import evaluate_file

    files, further, labels, resamples, seed, calibrate, json = request
    known = {"labels": _label_set(labels), "calibrate": calibrate, "further": further}
    tables = [
        evaluate_file(path, resamples=resamples, seed=seed, **known).assign(file=path.name)  # type: ignore[arg-type]
        for path in files
    ]
    print_by_file(pd.concat(tables, ignore_index=True), json=json)


def print_subgroups(request: MetricRequest, by: Sequence[str], catalog: Path) -> None:
    """Print the balanced accuracy of subgroups of each file.

    Args:
        request: which files.
        by: columns of the catalog.
        catalog: with a row for each image.
    """
    import pandas as pd

    from selcn.evaluation import read_predictions, subgroup_table
    from selcn.io.tables import read_table

    label_set, facts, tables = _label_set(request.labels), read_table(catalog, ["image_id"]), []
    for path in request.files:
        predictions = read_predictions(path, label_set)
        table = subgroup_table(predictions, facts, by, resamples=request.resamples, seed=request.seed)
        tables.append(table.assign(file=path.name))
    print_by_file(pd.concat(tables, ignore_index=True), json=request.json)


def print_run_subgroups(request: MetricRequest, network: str | None, by: Sequence[str]) -> None:
    """Print subgroups of a run's network, by its catalog and by what its images tell.

    Args:
        request: whose one file is the run's folder.
        network: its name; None for the target.
        by: columns of `selcn.runs.facts.run_facts`.

    Raises:
        RunError: the segmentation network has no scores.
    """
    from selcn.evaluation import score_subgroup_table, subgroup_table
    from selcn.runs.facts import run_facts
    from selcn.runs.run import open_run

    run, (folder,) = open_run(request.files[0]), request.files
    name, resamples, seed = run.known(network), request.resamples, request.seed
    with progress("looking") as move:
        facts = run_facts(run, move)
    if name == run.graph.segmenter:
        scores = run.scores()
        if scores is None:
            raise RunError(f"{folder}: no image has a true mask; name a classifier with --network")
        table = score_subgroup_table(scores, facts, by, resamples=resamples, seed=seed)
    else:
        table = subgroup_table(run.predictions(name), facts, by, resamples=resamples, seed=seed)
    print_by_file(table.assign(file=name), json=request.json)


def print_profile(request: MetricRequest) -> None:
    """Print what Metrics Reloaded recommends for each file and why, and those metrics.

    Args:
        request: which files; of JSON, a metric a row with its question and reason.
    """
    from selcn.evaluation import evaluate_by_profile

    files, further, labels, resamples, seed, calibrate, json = request
    label_set, found = _label_set(labels), []
    for path in files:
        one, table = evaluate_by_profile(
            path, further, labels=label_set, calibrate=calibrate, resamples=resamples, seed=seed
        )
        found.append((path.name, one, table))
    print_recommended(found, json=json)


def print_recommended(recommended: "Sequence[tuple[str, list[Recommendation], pd.DataFrame]]", *, json: bool) -> None:
    """Print what is recommended and why, and those metrics.

    Args:
        recommended: names of files or networks, each with recommendations and metrics by their questions.
        json: whether as JSON.
    """
    import pandas as pd

    tables = []
    for name, found, table in recommended:
        reasons = {one.question: one.reason for one in found}
        if json:
            questions = pd.DataFrame(reasons.items(), columns=["question", "reason"])
            tables.append(questions.merge(table, how="left", on="question").assign(file=name))
            continue
        typer.echo("\n".join([name, *(f"- {question}? {reason}" for question, reason in reasons.items())]))
        typer.echo(f"{table.drop(columns='question').to_string(index=False, float_format='{:.3f}'.format)}\n")
    if json:
        print_by_file(pd.concat(tables, ignore_index=True), json=True)


def print_curves(request: MetricRequest, positive: str) -> None:
    """Print the decision curve of each file.

    Args:
        request: which files, with the prevalence of the class where one is stated.
        positive: the class, or `malignant`.
    """
    import pandas as pd

    from selcn.evaluation import decision_curve, fit_recalibration, read_predictions

    files, further, labels, resamples, seed, calibrate, json = request
    strange = next((name for name in further.prevalence if name != positive), None)
    if strange:
        raise ConfigError(f"--prevalence {strange}: is not of --decision-curve {positive}; state that of {positive}")
    label_set, tables, share = _label_set(labels), [], further.prevalence.get(positive)
    for path in files:
        predictions = read_predictions(path, label_set)
        rescaled = fit_recalibration(predictions).of(predictions) if calibrate else predictions
        curve = decision_curve(rescaled, positive, prevalence=share, resamples=resamples, seed=seed)
        tables.append(curve.assign(file=path.name))
    print_by_file(pd.concat(tables, ignore_index=True), json=json)


def print_prediction_sets(paths: Sequence[Path], request: SetRequest, resamples: int, seed: int, *, json: bool) -> None:
    """Print coverage and size of prediction sets on the test subset, by class and subgroup.

    Args:
        paths: files of class probabilities, or folders of runs.
        request: which sets.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        json: whether to print JSON.

    Raises:
        ConfigError: a run's network is no classifier, or a coverage that cannot be reached.
    """
    import pandas as pd

    from selcn.evaluation import fit_recalibration, prediction_set_table, read_predictions
    from selcn.io.tables import read_table

    facts, label_set, tables = (
        read_table(request.catalog, ["image_id"]) if request.catalog else None,
        _label_set(request.labels),
        [],
    )
    for path in paths:
        _refuse_unused(path, request)
        predictions, known = _of_run(path, request) if path.is_dir() else (read_predictions(path, label_set), None)
        rescaled = fit_recalibration(predictions).of(predictions) if request.calibrate else predictions
        about = known if facts is None else facts
        table = prediction_set_table(rescaled, request.coverage, about, request.by, resamples=resamples, seed=seed)
        tables.append(table.assign(file=path.name))
    print_by_file(pd.concat(tables, ignore_index=True), json=json)


def _of_run(folder: Path, request: SetRequest) -> "tuple[Predictions, pd.DataFrame | None]":
    """Predictions of a run's network, and what is known of the images where subgroups of them are wanted."""
    from selcn.runs.facts import run_facts
    from selcn.runs.run import open_run

    run = open_run(folder)
    predictions = run.predictions(_classifier_of(run, request.network))
    if request.catalog or not request.by:
        return predictions, None
    with progress("looking") as move:
        return predictions, run_facts(run, move)


def _classifier_of(run: "Run", network: str | None) -> str:
    name = run.known(network)
    if name not in run.graph.classifiers:
        known = ", ".join(run.graph.classifiers) or "none"
        raise ConfigError(f"--network {name}: has no classes to make sets of; classifiers are {known}")
    return name


def _refuse_unused(path: Path, request: SetRequest) -> None:
    """Refuse what a run, or a file, has itself or does not have."""
    unused = request.labels and "--labels" if path.is_dir() else request.network and "--network"
    if unused:
        what = "a run, which has its own label sets" if path.is_dir() else "a file, which is of one network"
        raise ConfigError(f"{unused}: {path} is {what}; leave it out")


def _label_set(labels: str | None) -> "LabelSet | None":
    from selcn.config import read_label_set

    return read_label_set(labels) if labels else None
