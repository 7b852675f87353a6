"""`evaluate` and `report`: metrics with intervals from prediction files, and the page of a run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.comparisons import print_differences
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


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (evaluate, report):
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
        print_surfaces(BorderRequest(predictions[0], tolerance, spacing, resamples, seed, json, profile=bool(profile)))
    elif conformal is not None:
        asked = SetRequest(conformal, by or [], catalog, labels, network, calibrate)
        print_prediction_sets(predictions, asked, resamples, seed, json=json)
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
        print_differences(rows.drop(columns=["given", "known"]), "predicted", f"true {names}")


class ChecklistName(StrEnum):
    """Checklists of reporting; the names of `selcn.report.checklists.CHECKLISTS`."""

    TRIPOD_AI = "tripod-ai"
    CLEAR_DERM = "clear-derm"
    CLAIM = "claim"


def report(
    run: Annotated[
        Path, typer.Argument(help="A run's folder, or that of several seeds of one run.", show_default=False)
    ],
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
    """Write the page of a finished run, of two side by side, or of seeds; or a checklist of reporting as Markdown.

    Example: `selcn report runs/demo`, or `selcn report runs/demo runs/other --out versus.html`, or
    `selcn report runs/demo --checklist tripod-ai`, or of several seeds `selcn report runs/demo-seeds`
    """
    if checklist:
        if other:
            raise ConfigError("--checklist: is of one run; leave the other out")
        from selcn.report.checklists import write_checklist

        file, filled, waiting = write_checklist(run, checklist.value, out)
        typer.echo(f"{file}: {filled} items hold what the run knows, {waiting} ask for what only its authors know")
        return
    from selcn.report import refresh_report, write_seed_report, write_versus
    from selcn.runs.seeds import is_seed_folder

    if is_seed_folder(run):
        if other:
            raise ConfigError(f"{run}: holds several seeds, which are on one page; leave {other} out")
        page = write_seed_report(run, out)
    elif other:
        page = out or Path("versus.html")
        write_versus(run, other, page)
    else:
        page = refresh_report(run, out, anew=True)
    typer.echo(page)
