"""Metrics of a run, computed from its files of predictions and scores alone."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import ConfigError
from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.crossvalidation import cross_validation
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.further import Further
from selcn.evaluation.localisation import read_saliency_scores, summarise_saliency
from selcn.evaluation.seeds import compare_seeds
from selcn.evaluation.segmentation import BORDER_TOLERANCE
from selcn.evaluation.significance import holm
from selcn.evaluation.surfaces import summarise_surfaces, surface_scores
from selcn.runs.folder import COMPARISON, CROSS_VALIDATION, MASKS, SALIENCY_METRICS, SURFACE_METRICS
from selcn.runs.plan import explained_networks
from selcn.runs.predictions import score_rows
from selcn.runs.run import Run, open_run


def write_metrics(run: Run, out: Path) -> None:
    """Write each network's metrics with intervals, paired differences, each fold's metrics, and scores of borders.

    Args:
        run: whose prediction files exist.
        out: folder to write to.
    """
    resamples = run.config.resamples
    predicted = [name for name in run.graph.nodes if run.folder.prediction_file(name).is_file()]
    for name in predicted:
        labels = run.labels(name) if name in run.graph.classifiers else None
        table = evaluate_file(run.folder.prediction_file(name), labels=labels, resamples=resamples)
        table.to_csv(out / f"{name}.csv", index=False)
    compared = [
        compare(*on_shared_images(run.predictions(a), run.predictions(b)), resamples=resamples).assign(a=a, b=b)
        for a, b in run.graph.pairs()
        if a in predicted and b in predicted
    ]
    if compared:
        pd.concat(compared).to_csv(out / COMPARISON, index=False)
    folds = [_folds(run, name) for name in predicted if name in run.graph.classifiers]
    if folds:
        pd.concat(folds).to_csv(out / CROSS_VALIDATION, index=False)
    if run.graph.segmenter in predicted:
        border_table(run).to_csv(out / SURFACE_METRICS, index=False)


def border_table(run: Run) -> pd.DataFrame:
    """Return scores of the borders of a run's masks at the tolerance of `boundary_f1`, at least one pixel.

    Of the test subset where it has true masks, else of the folds: distances take longer than all other metrics.

    Args:
        run: whose masks have been predicted, some of images with a true one.

    Returns:
        Columns of `summarise_surfaces`, and the ``tolerance`` in pixels of the store.
    """
    _, height, width = run.store.masks.shape
    tolerance = max(1.0, BORDER_TOLERANCE * float(np.hypot(height, width)))
    rows = run.test_rows[run.store.has_mask[run.test_rows]]
    if not len(rows):
        folds = np.concatenate(run.fold_rows)
        rows = folds[run.store.has_mask[folds]]
    masks, score = run.output(str(run.graph.segmenter), MASKS), partial(surface_scores, tolerance=tolerance)
    scores = score_rows(run, rows, masks, at=rows, score=score)
    return summarise_surfaces(scores, resamples=run.config.resamples).assign(tolerance=tolerance)


def tracked_metrics(run: Run, folder: Path) -> dict[str, float]:
    """Return the metrics of an evaluation as trackers show them: values by `NETWORK/SUBSET/METRIC`.

    The metrics' names are those of the registry, as in the report's tables and files.

    Args:
        run: that was evaluated.
        folder: that :func:`write_metrics` wrote to.
    """
    tables = {name: folder / f"{name}.csv" for name in run.graph.nodes}
    return {
        f"{name}/{subset}/{metric}": value
        for name, path in tables.items()
        if path.is_file()
        for subset, metric, value in pd.read_csv(path)[["fold_part", "metric", "value"]]
        .dropna()
        .itertuples(index=False)
    }


def seed_table(
    folders: Sequence[Path],
    against: str,
    networks: Sequence[str] = (),
    *,
    further: Further | None = None,
    resamples: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the differences of networks to one of them, over runs of the same plan with several seeds.

    Both are scored on the images that every run has predicted with both: measured symmetry is undefined for some.

    Args:
        folders: of the runs, one a seed.
        against: the network that the others are compared with.
        networks: that are compared; empty for all with the classes of ``against`` that every run has predicted.
        further: which metrics are compared besides the usual ones; None for none.
        resamples: see :func:`~selcn.evaluation.seeds.compare_seeds`.
        seed: see :func:`~selcn.evaluation.seeds.compare_seeds`.

    Returns:
        Columns of :func:`~selcn.evaluation.seeds.compare_seeds`, ``a``, ``b`` and ``p_holm``: corrected for the number
        of networks, of each metric and subset apart (Holm 1979).

    Raises:
        ConfigError: a run has no such network, class or split, or there is nothing to compare.
        RunError: a folder holds no run.
        DataError: a prediction file is missing or wrong, or two differ in truths, groups or folds.
    """
    runs = [open_run(folder) for folder in folders]
    for run in runs:
        if run.split.fingerprint != runs[0].split.fingerprint:
            raise ConfigError(f"{run.folder.path}: has another split than {folders[0]}; use one split for all")
        for name in [against, *networks]:
            if name not in run.graph.classifiers:
                there = ", ".join(run.graph.classifiers)
                raise ConfigError(f"{run.folder.path}: has no classifier {name}; it has {there}")
    others = [name for name in runs[0].graph.classifiers if name != against]
    tables, names = [], networks or [name for name in others if all(_comparable(run, name, against) for run in runs)]
    if not names:
        raise ConfigError(f"no network of {', '.join(map(str, folders))} can be compared with {against}; train one")
    for name in names:
        both = on_shared_images(*(run.predictions(one) for one in (against, name) for run in runs))
        first, second = both[: len(runs)], both[len(runs) :]
        differences = compare_seeds(first, second, further=further, resamples=resamples, seed=seed)
        tables.append(differences.assign(a=against, b=name))
    table = pd.concat(tables, ignore_index=True)
    corrected = table.groupby(["fold_part", "metric"], sort=False)["p"].transform(lambda p: holm(p.tolist()))
    return table.assign(p_holm=corrected)


def _comparable(run: Run, name: str, against: str) -> bool:
    return (
        name in run.graph.classifiers
        and run.folder.prediction_file(name).is_file()
        and run.labels(name).names == run.labels(against).names
    )


def write_saliency_metrics(run: Run, out: Path) -> None:
    """Write metrics of the saliency of every classifier that was scored; no file where none was.

    Args:
        run: whose saliency scores exist.
        out: folder to write to.
    """
    files = [run.folder.saliency_scores(name) for name in explained_networks(run.graph)]
    scores = [read_saliency_scores(path) for path in files if path.is_file()]
    if scores:
        table = summarise_saliency(pd.concat(scores), resamples=run.config.resamples)
        table.to_csv(out / SALIENCY_METRICS, index=False)


def grid_table(run: Run, names: Sequence[str], metric: str = "balanced_accuracy") -> pd.DataFrame:
    """One row a classifier: a metric with its interval, and its difference to the standalone of the same masking.

    ``p`` is from a permutation test by lesion, ``p_holm`` corrected for the number of differences (Holm 1979). Of the
    test subset where there is one, else of validation.

    Args:
        run: that is evaluated.
        names: of the classifiers.
        metric: a name of `classification_metrics`.
    """
    standalone = {b: a for a, b in run.graph.pairs()}
    path = run.folder.evaluation / COMPARISON
    compared = pd.read_csv(path) if path.exists() else pd.DataFrame()
    rows = []
    for name in names:
        metrics = pd.read_csv(run.folder.metrics(name))
        part = "test" if (metrics["fold_part"] == "test").any() else "validation"
        own = metrics[(metrics["metric"] == metric) & (metrics["fold_part"] == part)].iloc[0]
        row = {"network": name, "part": part, metric: own["value"], "low": own["low"], "high": own["high"]}
        if name in standalone:
            chosen = (compared["b"] == name) & (compared["metric"] == metric) & (compared["fold_part"] == part)
            difference = compared[chosen].iloc[0]
            row |= {
                "difference": difference["value"],
                "difference_low": difference["low"],
                "difference_high": difference["high"],
                "p": difference["p"],
            }
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist())) if "p" in table else table


def _folds(run: Run, name: str) -> pd.DataFrame:
    members = [run.folder.member_file(name, fold) for fold in range(run.split.folds)]
    there = [path for path in members if path.is_file()]
    how, predictions = run.config.evaluation, run.folder.prediction_file(name)
    table = cross_validation(predictions, there, labels=run.labels(name), deviation=how.deviation, ties=how.ties)
    return table.assign(name=name)
