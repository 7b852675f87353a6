"""`evaluate`, `compare` and `report`: metrics with intervals from prediction files, and the page of a run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.mask_tables import BorderRequest, print_surfaces
from selcn.cli.metric_options import (
    Beta,
    BundleEngine,
    By,
    Conformal,
    Costs,
    DecisionCurve,
    Evaluated,
    Every,
    GivenNames,
    GivenOf,
    Ood,
    Overlap,
    Prevalence,
    Profile,
    Recalibrated,
    ScoresOut,
    Spacing,
    Tolerance,
    asked_for,
    check_together,
)
from selcn.cli.metric_tables import MetricRequest, SetRequest, print_prediction_sets, print_requested
from selcn.cli.ood_table import print_ood
from selcn.cli.options import Device, EngineChoice, Json, Labels, progress, resumable, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (evaluate, compare, report):
        app.command()(with_threads(command))


def evaluate(
    predictions: Evaluated,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples of lesions.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
    by: By = None,
    catalog: Annotated[Path | None, typer.Option("--catalog", help="Where --by's columns are.")] = None,
    labels: Labels = None,
    calibrate: Recalibrated = False,
    every: Every = False,
    profile: Profile = None,
    costs: Costs = None,
    prevalence: Prevalence = None,
    beta: Beta = None,
    decision_curve: DecisionCurve = None,
    conformal: Conformal = None,
    tolerance: Tolerance = None,
    spacing: Spacing = None,
    given: GivenNames = None,
    network: GivenOf = None,
    ood: Ood = None,
    out: ScoresOut = Path("evaluation"),
    overlap: Overlap = False,
    engine: BundleEngine = EngineChoice.TORCH,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Metrics of prediction files with 95 % intervals from a bootstrap of lesions.

    Files hold class probabilities (without `truth` those metrics are given that need none), segmentation or saliency
    scores, or hard labels (`image_id, truth, prediction`). A bundle predicts a catalog's images and is scored by its
    labels. Of a run, --given, --tolerance, --conformal, --by and --ood measure what each of them says.

    Example: `selcn evaluate runs/demo/predictions/*.csv`, or `selcn evaluate runs/demo/bundle catalog.csv`
    """
    of_bundle = check_together(predictions, locals())
    further = asked_for(every, profile, costs, prevalence, beta)
    if ood:
        print_ood(predictions, ood, out, engine, device, resamples, seed, overlap=overlap, json=json)
    elif of_bundle:
        _score_bundle(predictions[0], predictions[1], out, engine, device, resamples, seed, overlap=overlap, json=json)
    elif given:
        _print_upper_bounds(predictions[0], given, network, device, resamples, seed, json=json)
    elif tolerance is not None:
        print_surfaces(
            BorderRequest(predictions[0], tolerance, spacing, resamples, seed, json, profile=profile is not None)
        )
    elif conformal is not None:
        sets = SetRequest(conformal, by or [], catalog, labels, network, calibrate)
        print_prediction_sets(predictions, sets, resamples, seed, json=json)
    else:
        request = MetricRequest(predictions, further, labels, resamples, seed, calibrate, json)
        print_requested(request, decision_curve, by, catalog, network, profile=profile is not None)


def _score_bundle(
    bundle: Path,
    catalog: Path,
    out: Path,
    engine: EngineChoice,
    device: str,
    resamples: int,
    seed: int,
    *,
    overlap: bool,
    json: bool,
) -> None:
    from selcn.cli.predict import load_predictors, tell_failed
    from selcn.data.catalog import read_catalog
    from selcn.runs.bundle_scores import score_bundle

    table = read_catalog(catalog)
    predictors, source = load_predictors(bundle, engine, device)
    with resumable(), progress("predicting") as move:
        scores = score_bundle(
            predictors,
            bundle,
            table,
            out,
            source=source,
            overlap=overlap,
            resamples=resamples,
            seed=seed,
            on_progress=move,
        )
    if json:
        typer.echo(scores.to_json())
    else:
        typer.echo(
            f"{out}: {scores.images - len(scores.failed)} of {scores.images} images; the bundle was trained on lesions "
            f"of {scores.seen}"
        )
        for name, count in scores.without_truth.items():
            undefined = f", {scores.undefined[name]} undefined" if scores.undefined.get(name) else ""
            typer.echo(f"\n{name}: {count} images without truth{undefined}")
            metrics = scores.metrics[scores.metrics["network"] == name].drop(columns="network")
            if len(metrics):
                typer.echo(metrics.to_string(index=False, float_format="{:.3f}".format))
    tell_failed(scores.failed)


def _print_upper_bounds(
    folder: Path, given: list[str], network: str | None, device: str, resamples: int, seed: int, *, json: bool
) -> None:
    from selcn.runs.run import open_run
    from selcn.runs.upper_bounds import upper_bounds

    results = [name.strip() for one in given for name in one.split(",")]
    run = open_run(folder)
    with resumable(), progress("predicting") as move:
        table = upper_bounds(run, results, network, device=device, resamples=resamples, seed=seed, on_progress=move)
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    for (names, known), rows in table.groupby(["given", "known"], sort=False):
        tested = f"known of {known} of {len(run.test_rows)} test images"
        typer.echo(
            f"{network or run.graph.target} with true {' and '.join(str(names).split('+'))} ({tested}), minus as it is"
        )
        _print_differences(rows.drop(columns=["given", "known"]), "predicted", f"true {names}")


def _print_differences(table: "pd.DataFrame", a: str, b: str, bounds: float | None = None) -> None:
    """Print paired differences b - a, and what that of the balanced accuracy shows."""
    from selcn.evaluation import Estimate, verdict

    typer.echo(table.to_string(index=False, float_format="{:.3f}".format))
    for row in table[table["metric"] == "balanced_accuracy"].to_dict("records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        allowed = None if bounds is None else bounds / 100
        said = verdict(estimate, "balanced_accuracy", a, b, bounds=allowed)
        corrected = f", {row['p_holm']:.3f} after Holm" if "p_holm" in row else ""
        typer.echo(f"{row['fold_part']}: {said}; p {row['p']:.3f} by permutation of lesions{corrected}")


def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Two prediction files A and B of the same images; with --against, runs of one plan, one a seed.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None, typer.Option("--against", help="Network of the runs that their others are compared with.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", help="Compared with --against; repeat for more; all with its classes if absent."),
    ] = None,
    bounds: Annotated[
        float | None,
        typer.Option("--bounds", min=0, help="Points of balanced accuracy, stated before, that do not matter."),
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Of the bootstrap; and permutations.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap and of the permutations.")] = 0,
    labels: Labels = None,
    json: Json = False,
) -> None:
    """The paired difference B - A of every metric with its interval by lesion, tests of it, and what it shows.

    With `--against`, the mean difference over the seeds of each network of some runs, p corrected for their number.

    Example: `selcn compare runs/demo/predictions/diagnosis-standalone.csv runs/demo/predictions/diagnosis.csv`, or
    `selcn compare runs/seed-0 runs/seed-1 runs/seed-2 --against diagnosis-standalone --bounds 1`
    """
    from selcn.config import read_label_set
    from selcn.evaluation import compare as compare_predictions

    if against is not None:
        if labels is not None:
            raise ConfigError("--labels: runs have their own label sets; leave it out")
        _compare_seeds(sources, against, network or [], bounds, resamples, seed, json=json)
        return
    if len(sources) != 2 or network:
        raise ConfigError("compare: give two prediction files, or runs with --against NETWORK")
    a, b = sources
    table = compare_predictions(a, b, labels=read_label_set(labels) if labels else None, resamples=resamples, seed=seed)
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    _print_differences(table, a.stem, b.stem, bounds)


def _compare_seeds(
    folders: list[Path],
    against: str,
    networks: list[str],
    bounds: float | None,
    resamples: int,
    seed: int,
    *,
    json: bool,
) -> None:
    from selcn.runs.metrics import seed_table

    table = seed_table(folders, against, networks, resamples=resamples, seed=seed)
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    for name, rows in table.groupby("b", sort=False):
        typer.echo(f"{name} minus {against}, mean of {rows['seeds'].iloc[0]} seeds")
        _print_differences(rows.drop(columns=["a", "b", "seeds"]), against, str(name), bounds)
        typer.echo()


class ChecklistName(StrEnum):
    """Checklists of reporting; the names of `selcn.report.checklists.CHECKLISTS`."""

    TRIPOD_AI = "tripod-ai"
    CLEAR_DERM = "clear-derm"
    CLAIM = "claim"


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    other: Annotated[Path | None, typer.Argument(help="Another's, to put beside it.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file; RUN/report.html, versus.html, or RUN/CHECKLIST.md."),
    ] = None,
    checklist: Annotated[
        ChecklistName | None,
        typer.Option("--checklist", help="Fill this checklist of reporting instead, as far as the run knows."),
    ] = None,
) -> None:
    """Write the page of a finished run, or of two side by side; or a checklist of reporting as Markdown.

    Example: `selcn report runs/demo`, or `selcn report runs/demo runs/other --out versus.html`, or
    `selcn report runs/demo --checklist tripod-ai`
    """
    if checklist:
        if other:
            raise ConfigError("--checklist: is of one run; leave the other out")
        from selcn.report.checklists import write_checklist

        file, filled, waiting = write_checklist(run, checklist.value, out)
        typer.echo(f"{file}: {filled} items hold what the run knows, {waiting} ask for what only its authors know")
        return
    from selcn.report import refresh_report, write_versus

    if other:
        page = out or Path("versus.html")
        write_versus(run, other, page)
    else:
        page = refresh_report(run, out, anew=True)
    typer.echo(page)
