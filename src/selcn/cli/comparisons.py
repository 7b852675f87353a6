"""`compare`: paired differences of two files, or of networks over the seeds of some runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.metric_options import Beta, Costs, Every, Prevalence, Profile, asked_for
from selcn.cli.options import Json, Labels, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from selcn.evaluation import Further

_JUDGED = ("balanced_accuracy", "dice")
"""Metrics that a sentence is printed of."""

Sources = Annotated[
    list[Path],
    typer.Argument(
        help="Two prediction files A and B of the same images, or two files of scores of masks; with --against, runs "
        "of one plan, one a seed.",
        show_default=False,
    ),
]
Against = Annotated[
    str | None, typer.Option("--against", help="Network of the runs that their others are compared with.")
]
Compared = Annotated[
    list[str] | None,
    typer.Option("--network", help="Compared with --against; repeat for more; all with its classes if absent."),
]
Bounds = Annotated[
    float | None,
    typer.Option("--bounds", min=0, help="Points of balanced accuracy, or of Dice, stated before, that do not matter."),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(compare))


def compare(
    sources: Sources,
    against: Against = None,
    network: Compared = None,
    bounds: Bounds = None,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Of the bootstrap; and permutations.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap and of the permutations.")] = 0,
    labels: Labels = None,
    every: Every = False,
    profile: Profile = None,
    costs: Costs = None,
    prevalence: Prevalence = None,
    beta: Beta = None,
    json: Json = False,
) -> None:
    """The paired difference B - A of every metric with its interval by lesion, tests of it, and what it shows.

    With `--against`, the mean difference over the seeds of each network of some runs, p corrected for their number.
    `--all`, `--profile`, `--costs` and `--prevalence` add the metrics that they add to `selcn evaluate`.

    Example: `selcn compare runs/demo/predictions/diagnosis-standalone.csv runs/demo/predictions/diagnosis.csv`, or
    `selcn compare runs/seed-0 runs/seed-1 runs/seed-2 --against diagnosis-standalone --bounds 1`
    """
    further = asked_for(every, profile, costs, prevalence, beta)
    if against is None:
        if len(sources) != 2 or network:
            raise ConfigError("compare: give two files of predictions or scores, or runs with --against NETWORK")
        table = _of_files(sources, labels, further, resamples, seed, profile=profile is not None, silent=json)
    elif strange := "--labels" if labels else "--profile" if profile else None:
        what = "have their own label sets; leave it out" if labels else "are compared by every metric; give --all"
        raise ConfigError(f"{strange}: runs {what}")
    else:
        table = _of_seeds(sources, against, network or [], further, resamples, seed)
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
    elif against is None:
        print_differences(table, sources[0].stem, sources[1].stem, bounds)
    else:
        for name, rows in table.groupby("b", sort=False):
            typer.echo(f"{name} minus {against}, mean of {rows['seeds'].iloc[0]} seeds")
            print_differences(rows.drop(columns=["a", "b", "seeds"]), against, str(name), bounds)
            typer.echo()


def print_differences(table: "pd.DataFrame", a: str, b: str, bounds: float | None = None) -> None:
    """Print paired differences b - a, and what that of the balanced accuracy (of masks, Dice) shows.

    Args:
        table: of paired differences.
        a: name of the one.
        b: name of the other.
        bounds: points that do not matter; None for no such bound.
    """
    from selcn.evaluation import Estimate, verdict

    typer.echo(table.to_string(index=False, float_format="{:.3f}".format))
    for row in table[table["metric"].isin(_JUDGED)].to_dict("records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        allowed = None if bounds is None else bounds / 100
        said = verdict(estimate, row["metric"], a, b, bounds=allowed)
        corrected = f", {row['p_holm']:.3f} after Holm" if "p_holm" in row else ""
        typer.echo(f"{row['fold_part']}: {said}; p {row['p']:.3f} by permutation of lesions{corrected}")


def _of_files(
    files: Sequence[Path],
    labels: str | None,
    further: "Further",
    resamples: int,
    seed: int,
    *,
    profile: bool,
    silent: bool,
) -> "pd.DataFrame":
    """Paired differences of two files; of a profile, whose reasons are printed first, those that it recommends."""
    from selcn.config import read_label_set
    from selcn.evaluation import compare_by_profile, compare_files

    (a, b), known = files, read_label_set(labels) if labels else None
    if not profile:
        return compare_files(a, b, labels=known, further=further, resamples=resamples, seed=seed)
    found, table = compare_by_profile(a, b, further, labels=known, resamples=resamples, seed=seed)
    if silent:
        return table
    typer.echo("\n".join(f"- {one.question}? {one.reason}" for one in found))
    return table.drop(columns="question")


def _of_seeds(
    folders: Sequence[Path], against: str, networks: Sequence[str], further: "Further", resamples: int, seed: int
) -> "pd.DataFrame":
    from selcn.runs.metrics import seed_table

    return seed_table(folders, against, networks, further=further, resamples=resamples, seed=seed)
