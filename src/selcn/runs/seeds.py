"""One configuration trained with several seeds: a folder a seed, the same split, and what varies between them.

```
OUT/
  seed-0/ seed-1/ ...   a run each, see `selcn.runs.folder`
  metrics.csv           mean over seeds of each classifier's metrics, with the interval of lesions and that of seeds too
  comparison.csv        mean over seeds of the paired differences, corrected for their number
  variance.csv          of single members on the test subset: variance of lesions, of seeds and of folds apart
  report.html           all of them on one page
```
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from selcn.config import RunConfig, changed_config
from selcn.errors import ConfigError
from selcn.evaluation.comparison import on_shared_images
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.evaluation.seeds import evaluate_seeds
from selcn.evaluation.variance import training_variance
from selcn.io.files import write_text
from selcn.runs.folder import RunFolder
from selcn.runs.metrics import seed_table
from selcn.runs.run import Run, open_run

METRICS, COMPARISON, VARIANCE = "metrics.csv", "comparison.csv", "variance.csv"
MIN_SEEDS = 2


def seed_runs(config: RunConfig, out: Path, seeds: int) -> dict[Path, RunConfig]:
    """The configuration of each seed by its run's folder; the split is the same, since it has a seed of its own.

    Args:
        config: of the first; the others count up from its seed.
        out: folder that holds all.
        seeds: how many, at least 2.

    Raises:
        ConfigError: fewer than two seeds, or ``out`` is a run.
    """
    if seeds < MIN_SEEDS:
        raise ConfigError(f"--seeds {seeds}: give at least {MIN_SEEDS}, or leave it out for one run")
    if RunFolder(out).config.is_file():
        raise ConfigError(f"{out}: is a run; --seeds makes a folder of runs: choose another --out")
    numbers = [config.seed + number for number in range(seeds)]
    return {out / f"seed-{number}": changed_config(config, seed=number) for number in numbers}


def is_seed_folder(path: Path) -> bool:
    """Whether a folder holds the tables of finished seeds, and is no run.

    Args:
        path: of the folder.
    """
    return (path / METRICS).is_file() and any(path.glob("seed-*")) and not RunFolder(path).config.is_file()


def write_seed_tables(folders: Sequence[Path], out: Path) -> dict[str, pd.DataFrame]:
    """Write what varies between finished runs that differ by their seed.

    Args:
        folders: of the runs, one a seed.
        out: folder to write to.

    Returns:
        The tables by the names of their files.

    Raises:
        ConfigError: a run has another split.
        RunError: a folder holds no run.
        DataError: a prediction file is missing or wrong.
    """
    runs = [open_run(folder) for folder in folders]
    for run in runs:
        if run.split.fingerprint != runs[0].split.fingerprint:
            raise ConfigError(f"{run.folder.path}: has another split than {folders[0]}; use one split for all")
    resamples = runs[0].config.resamples
    names = [name for name in runs[0].graph.classifiers if all(_scored(run, name) for run in runs)]
    pairs = [(a, b) for a, b in runs[0].graph.pairs() if a in names and b in names]
    tables = {
        METRICS: _stacked(
            evaluate_seeds(on_shared_images(*(run.predictions(name) for run in runs)), resamples=resamples).assign(
                network=name
            )
            for name in names
        ),
        COMPARISON: _stacked(
            seed_table(folders, a, [b for one, b in pairs if one == a], resamples=resamples)
            for a in dict.fromkeys(a for a, _ in pairs)
        ),
        VARIANCE: _stacked(_variances(runs, names, pairs, resamples)),
    }
    for name, table in tables.items():
        if len(table):
            write_text(out / name, table.to_csv(index=False, lineterminator="\n"))
    return tables


def _scored(run: Run, name: str) -> bool:
    return name in run.graph.classifiers and run.folder.prediction_file(name).is_file()


def _variances(
    runs: Sequence[Run], names: Sequence[str], pairs: Sequence[tuple[str, str]], resamples: int
) -> list[pd.DataFrame]:
    """Of each network, and of each pair's difference; nothing without a test subset."""
    if not len(runs[0].test_rows):
        return []
    members = {name: _members(runs, name) for name in names}
    known = {name: found for name, found in members.items() if found}
    tables = [training_variance(found, resamples=resamples).assign(network=name) for name, found in known.items()]
    for a, b in pairs:
        if a in known and b in known:
            shared = _shared(known[a], known[b])
            tables.append(training_variance(shared[1], shared[0], resamples=resamples).assign(network=b, against=a))
    return tables


def _members(runs: Sequence[Run], name: str) -> list[list[Predictions]]:
    """Test predictions of members by seed and fold, on the images that all predict; none where a file is missing."""
    files = [[run.folder.member_file(name, fold) for fold in range(run.split.folds)] for run in runs]
    if not all(file.is_file() for of_seed in files for file in of_seed):
        return []
    return _shared([[read_predictions(file, runs[0].labels(name)) for file in of_seed] for of_seed in files])[0]


def _shared(*methods: list[list[Predictions]]) -> list[list[list[Predictions]]]:
    """The members of all methods on the images that every one of them predicts."""
    both = iter(on_shared_images(*(one for method in methods for of_seed in method for one in of_seed)))
    return [[[next(both) for _ in of_seed] for of_seed in method] for method in methods]


def _stacked(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    found = list(tables)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
