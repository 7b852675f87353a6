"""Options of `evaluate`: which metrics are asked for, and which options go together."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import EngineChoice
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from selcn.evaluation import Further


class ProfileChoice(StrEnum):
    """Recommendations of metrics."""

    METRICS_RELOADED = "metrics-reloaded"


Evaluated = Annotated[
    list[Path],
    typer.Argument(
        help="Prediction or score files; a bundle and a catalog; with --given, --tolerance, --conformal, --ood a run.",
        show_default=False,
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by", help="By a column of --catalog (sex, age, site), or of a run: also lesion_share, ita, hair, ruler, ink."
    ),
]
Recalibrated = Annotated[
    bool,
    typer.Option(
        "--calibrate", help="Recalibrate with a temperature and a bias a class, fitted on the validation folds."
    ),
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
Conformal = Annotated[
    float | None,
    typer.Option(
        "--conformal", help="Prediction sets of this coverage, fitted out of fold: of files, or of runs' networks."
    ),
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
    str | None,
    typer.Option("--network", help="With --given, --conformal or --by of a run: which network; the target by default."),
]
Ood = Annotated[
    Path | None,
    typer.Option("--ood", help="Catalog of images out of distribution: how well they are told from usual ones."),
]
ScoresOut = Annotated[Path, typer.Option("--out", help="Of a bundle and a catalog, and of --ood: where files go.")]
Overlap = Annotated[
    bool, typer.Option("--overlap", help="Of a bundle: also score images of lesions that it was trained on.")
]
BundleEngine = Annotated[EngineChoice, typer.Option("--engine", help="What runs a bundle.")]


_COMMON = ("labels", "calibrate")
_GOES_WITH = {
    "given": ("network",),
    "tolerance": ("spacing", "profile"),
    "conformal": ("by", "catalog", "network", *_COMMON),
    "decision_curve": ("prevalence", *_COMMON),
    "profile": ("costs", "prevalence", "beta", *_COMMON),
    "by": ("catalog", "network", *_COMMON),
}
"""What each option that changes the table goes with, besides --resamples, --seed, --device and --json."""
_OF_ONE_RUN = ("given", "tolerance")
_OF_BUNDLES = {"out": Path("evaluation"), "overlap": False, "engine": EngineChoice.TORCH}
"""Options of a bundle and a catalog, with their defaults."""
_OPTIONS = (
    *_GOES_WITH,
    *("catalog", "labels", "calibrate", "every", "costs", "prevalence", "beta", "spacing", "network"),
)


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


def check_together(paths: Sequence[Path], options: Mapping[str, object]) -> bool:
    """Whether paths are a bundle and a catalog; refuse options, or several paths, that do not go with each other.

    Args:
        paths: what was given.
        options: what the command's options were given, by their Python names; nothing where false or None.

    Raises:
        ConfigError: see above.
    """
    chosen = [name for name in _OPTIONS if options[name] is not None and options[name] is not False]
    if options["ood"] is not None:
        if chosen:
            raise ConfigError(f"--ood: goes with --out, --overlap and --device, not with {_option(chosen[0])}")
        if not paths[0].is_dir() or len(paths) > 2:
            raise ConfigError(f"{paths[0]}: with --ood give a run's folder, or a bundle and a catalog of usual images")
        return False
    mode = next((name for name in _GOES_WITH if name in chosen), None)
    if len(paths) == 2 and paths[0].is_dir() and paths[1].is_file() and mode not in (*_OF_ONE_RUN, "conformal"):
        if chosen:
            raise ConfigError(f"{paths[0]}: is a folder; leave {_option(chosen[0])} out, which is of files or of runs")
        return True
    strange = next((name for name, default in _OF_BUNDLES.items() if options[name] != default), None)
    if strange:
        raise ConfigError(f"{_option(strange)}: is of a bundle and a catalog; leave it out, or give these two")
    if options["spacing"] is not None and options["tolerance"] is None:
        raise ConfigError("--spacing: give --tolerance as well, in millimetres")
    of_run = mode == "by" and len(paths) == 1 and paths[0].is_dir()
    if options["network"] is not None and not (of_run or mode in ("given", "conformal")):
        raise ConfigError("--network: goes with --given or --conformal, or --by of a run; leave it out")
    if of_run:
        if strange := next((name for name in ("catalog", *_COMMON) if options[name]), None):
            raise ConfigError(f"{_option(strange)}: {paths[0]} is a run, which has its own; leave it out")
        return False
    of_runs = mode == "conformal" and all(path.is_dir() for path in paths)
    if bool(options["by"]) != bool(options["catalog"]) and not (of_runs and options["by"]):
        raise ConfigError("--by and --catalog: give both, or neither; --by alone is of runs, which know their images")
    if paths[0].is_dir() and mode not in (*_OF_ONE_RUN, "conformal"):
        raise ConfigError(f"{paths[0]}: is a folder; give a bundle and a catalog, or files of predictions")
    if mode is None:
        return False
    others = [name for name in chosen if name != mode and name not in _GOES_WITH[mode]]
    if others or (mode in _OF_ONE_RUN and len(paths) > 1):
        start = "give one run's folder; it goes" if mode in _OF_ONE_RUN else "goes"
        refused = f", not with {', '.join(map(_option, others))}" if others else ""
        raise ConfigError(f"{_option(mode)}: {start} with {', '.join(map(_option, _GOES_WITH[mode]))}{refused}")
    return False


def _option(name: str) -> str:
    return "--all" if name == "every" else f"--{name.replace('_', '-')}"


def _share(text: str) -> tuple[str, float]:
    name, equals, share = text.rpartition("=")
    try:
        return name.strip(), float(share if equals else "none")
    except ValueError:
        raise ConfigError(f"--prevalence {text}: write CLASS=SHARE, for example malignant=0.02") from None
