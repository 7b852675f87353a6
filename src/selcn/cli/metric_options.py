"""Options of `evaluate`: which metrics are asked for, and the tables that they print."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.errors import ConfigError, RunError

if TYPE_CHECKING:
    import pandas as pd

    from selcn.evaluation import Further
    from selcn.labels import LabelSet


class ProfileChoice(StrEnum):
    """Recommendations of metrics."""

    METRICS_RELOADED = "metrics-reloaded"


Evaluated = Annotated[
    list[Path],
    typer.Argument(help="Prediction or score files; with --given and --tolerance a run's folder.", show_default=False),
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="Balanced accuracy by a column of --catalog: sex, age, site, source."),
]
Rescaled = Annotated[
    bool, typer.Option("--temperature", help="Rescale by a temperature fitted on the validation folds.")
]
Every = Annotated[
    bool, typer.Option("--all", help="Also Matthews correlation, PPV, NPV, net benefit, class-wise calibration ...")
]
Profile = Annotated[
    ProfileChoice | None, typer.Option("--profile", help="The metrics that are recommended for this problem, and why.")
]
Costs = Annotated[
    Path | None, typer.Option("--costs", help="Also the expected cost: a table with `truth` and a column a class.")
]
Prevalence = Annotated[
    list[str] | None,
    typer.Option("--prevalence", help="Also PPV, NPV and F-beta at this share of a class: malignant=0.02."),
]
Beta = Annotated[
    float | None,
    typer.Option("--beta", help="Of F-beta (2): with --all, --profile or --prevalence.", show_default=False),
]
DecisionCurve = Annotated[
    str | None, typer.Option("--decision-curve", help="Net benefit over thresholds of a class, or of malignant.")
]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", help="Scores of a run's masks by borders, at this many pixels (mm with --spacing)."),
]
Spacing = Annotated[float | None, typer.Option("--spacing", help="Millimetres from pixel to pixel of the store.")]
GivenNames = Annotated[
    list[str] | None,
    typer.Option("--given", help="What true results would be worth: mask, or networks, as in mask,symmetry."),
]
GivenOf = Annotated[
    str | None, typer.Option("--network", help="With --given: whose predictions; the run's target by default.")
]


def asked_for(
    every: bool,
    profile: ProfileChoice | None,
    costs: Path | None,
    prevalence: Sequence[str] | None,
    beta: float | None,
) -> "Further":
    """The metrics that options ask for.

    Args:
        every: `--all`.
        profile: `--profile`.
        costs: `--costs`.
        prevalence: `--prevalence`, each CLASS=SHARE.
        beta: `--beta`.

    Raises:
        ConfigError: a prevalence of another form, or a number out of range.
        DataError: the table of costs is wrong.
    """
    from selcn.evaluation import Further, read_costs
    from selcn.evaluation.further import BETA

    if beta is not None and not (every or profile or prevalence):
        raise ConfigError("--beta: is of F-beta; give --all, --profile or --prevalence as well")
    shares = dict(_share(text) for text in prevalence or [])
    table = read_costs(costs) if costs else None
    return Further(every=every or bool(profile), costs=table, prevalence=shares, beta=BETA if beta is None else beta)


def only_run(paths: Sequence[Path], option: str, others: Sequence[object]) -> Path:
    """The folder of the one run that an option works on.

    Args:
        paths: what was given.
        option: its name.
        others: what options that do not go with it were given; nothing where all are false.

    Raises:
        ConfigError: several paths, or one of the others.
    """
    if len(paths) > 1 or any(others):
        allowed = (
            "--network, --resamples, --seed and --device" if option == "--given" else "--spacing, --resamples, --seed"
        )
        raise ConfigError(f"{option}: give one run's folder; it goes with {allowed}")
    return paths[0]


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
    positive: str,
    further: "Further",
    labels: str | None,
    resamples: int,
    seed: int,
    *,
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


def _share(text: str) -> tuple[str, float]:
    name, equals, share = text.rpartition("=")
    try:
        return name.strip(), float(share if equals else "none")
    except ValueError:
        raise ConfigError(f"--prevalence {text}: write CLASS=SHARE, for example malignant=0.02") from None


def _label_set(labels: str | None) -> "LabelSet | None":
    from selcn.config import read_label_set

    return read_label_set(labels) if labels else None
