"""What Metrics Reloaded recommends for a problem of this project, and why (Maier-Hein, Reinke et al. 2024)."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from selcn.errors import ConfigError
from selcn.evaluation.evaluate import evaluate_file, hard_label_columns, read_hard_labels
from selcn.evaluation.further import Further
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.evaluation.score_comparison import compare_files
from selcn.io.tables import read_table
from selcn.labels import LabelSet

RARE = 0.5
"""A class that is rarer than this share of an equal share of the images makes the classes imbalanced."""
_BORDERS = "`selcn evaluate RUN --profile metrics-reloaded --tolerance PIXELS`"


class Recommendation(NamedTuple):
    """Metrics that one property of the problem asks for.

    Attributes:
        question: what the metrics answer.
        metrics: their names or, ending in `_`, the start of the names of a class' metrics.
        reason: the property of the problem, and what follows from it.
    """

    question: str
    metrics: tuple[str, ...]
    reason: str

    def covers(self, metric: str) -> bool:
        """Whether a metric is one of these.

        Args:
            metric: a name of the registry.
        """
        return any(metric.startswith(one) if one.endswith("_") else metric == one for one in self.metrics)


def evaluate_by_profile(
    path: Path,
    asked: Further,
    *,
    labels: LabelSet | None = None,
    calibrate: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[list[Recommendation], pd.DataFrame]:
    """Return what is recommended for the problem of a file, and those metrics with 95 % intervals.

    Args:
        path: a file of class probabilities, hard labels or segmentation scores.
        asked: with costs and prevalence where they are known.
        labels: see `evaluate_file`.
        calibrate: see `evaluate_file`.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Raises:
        DataError: the file is missing or wrong.
        ConfigError: ``resamples`` is below 1, the file holds neither labelled classes nor scores of masks, or costs or
            a prevalence are given for masks.
    """
    found, further = _recommended(path, asked, labels)
    metrics = evaluate_file(path, labels=labels, calibrate=calibrate, further=further, resamples=resamples, seed=seed)
    return found, recommended_table(metrics, found)


def compare_by_profile(
    a: Path,
    b: Path,
    asked: Further,
    *,
    labels: LabelSet | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[list[Recommendation], pd.DataFrame]:
    """Return what is recommended for the problem of two files, and the paired differences B - A of those metrics.

    Args:
        a: a file of class probabilities or segmentation scores.
        b: another of the same images.
        asked: with costs and prevalence where they are known.
        labels: see `compare_files`.
        resamples: see `compare_files`.
        seed: see `compare_files`.

    Raises:
        DataError: see `compare_files`.
        ConfigError: see `compare_files`; or costs or a prevalence are given for masks.
    """
    found, further = _recommended(a, asked, labels)
    differences = compare_files(a, b, labels=labels, further=further, resamples=resamples, seed=seed)
    return found, recommended_table(differences, found)


def _recommended(path: Path, asked: Further, labels: LabelSet | None) -> tuple[list[Recommendation], Further | None]:
    """What is recommended for a file, and the metrics besides the usual ones that hold it; None of masks."""
    if "dice" not in read_table(path):
        further = replace(asked, every=True)
        return recommend(_classes_of(path, labels), further), further
    if asked.costs is not None or asked.prevalence:
        raise ConfigError(f"{path}: holds scores of masks, which have neither costs nor prevalence; leave both out")
    return for_masks(measured=False), None


def recommend(predictions: Predictions, asked: Further) -> list[Recommendation]:
    """Return what is recommended for image-level classification, by the problem's fingerprint.

    Args:
        predictions: whose classes, and their shares of the images, make the problem.
        asked: with costs and prevalence where they are known.
    """
    hard = bool(np.isin(predictions.probabilities, (0, 1)).all())
    found = [_of_classes(predictions), *_of_severity(predictions, asked), _of_each_class(predictions, asked)]
    return found if hard else [*found, _of_ranking(predictions), *_of_decisions(predictions), _of_calibration()]


def recommended_table(metrics: pd.DataFrame, recommendations: list[Recommendation]) -> pd.DataFrame:
    """Return the metrics that are recommended, in the order of the recommendations.

    Args:
        metrics: with a column ``metric``, for example of `evaluate_file`.
        recommendations: of the same predictions.

    Returns:
        The columns of ``metrics`` after ``question``.
    """
    tables = [metrics[metrics["metric"].map(one.covers)].assign(question=one.question) for one in recommendations]
    table = pd.concat(tables, ignore_index=True)
    return table[["question", *metrics.columns]]


def for_masks(*, measured: bool) -> list[Recommendation]:
    """Return what is recommended for semantic segmentation of one object an image.

    Args:
        measured: whether borders were measured at a tolerance; if not, the reason tells how they are.
    """
    how = "" if measured else f"; a file of scores has neither: {_BORDERS} measures them in a run"
    return [
        Recommendation(
            "does the mask cover the lesion",
            ("dice", "jaccard"),
            "semantic segmentation of one object that is large for its image: overlap, Dice or IoU, which rank alike",
        ),
        Recommendation(
            "is its border right",
            ("nsd", "boundary_iou"),
            "the border matters (asymmetry depends on it), and observers differ by some pixels: NSD at the "
            "tolerance by which they differ; ASSD, MASD and Hausdorff 95 % where the distance itself is asked for"
            + how,
        ),
    ]


def _classes_of(path: Path, labels: LabelSet | None) -> Predictions:
    """The predictions of a file, of hard labels those of its first column."""
    if hard_label_columns(read_table(path)):
        return next(iter(read_hard_labels(path, labels).values()))
    return read_predictions(path, labels)


def _rarest(predictions: Predictions) -> tuple[str, float]:
    shares = predictions.table["truth"].value_counts(normalize=True).reindex(predictions.classes, fill_value=0.0)
    return str(shares.idxmin()), float(shares.min())


def _imbalanced(predictions: Predictions) -> bool:
    return _rarest(predictions)[1] < RARE / len(predictions.classes)


def _of_classes(predictions: Predictions) -> Recommendation:
    name, share = _rarest(predictions)
    if _imbalanced(predictions):
        reason = f"classes are imbalanced ({name}: {share:.1%} of the images), so accuracy rewards the frequent ones: "
        reason += "balanced accuracy counts every class alike; Matthews correlation also counts wrong positives"
    else:
        reason = f"classes are balanced (rarest {name}: {share:.1%}): accuracy or balanced accuracy, and Matthews "
        reason += "correlation, which also counts wrong positives"
    metrics = ("balanced_accuracy", "mcc") if _imbalanced(predictions) else ("accuracy", "balanced_accuracy", "mcc")
    return Recommendation("how often is the class right", metrics, reason)


def _of_severity(predictions: Predictions, asked: Further) -> list[Recommendation]:
    question, found = "how grave are the errors", []
    if predictions.labels.ordinal:
        reason = "classes are ordered: errors by more steps count more"
        found.append(Recommendation(question, ("weighted_kappa",), reason))
    if asked.costs:
        metrics = ("expected_cost", "expected_cost_normalised", "expected_cost_bayes")
        found.append(Recommendation(question, metrics, "costs of confusions are given"))
    if not found:
        reason = "errors differ in severity (a missed melanoma and a needless excision), but no costs are given: "
        found.append(Recommendation(question, (), reason + "give them with --costs for the expected cost"))
    return found


def _of_each_class(predictions: Predictions, asked: Further) -> Recommendation:
    names = _of_interest(predictions)
    starts = ("sensitivity", "specificity", "ppv", "npv", f"f{asked.beta:g}")
    stated = [name for name in names if name in asked.prevalence]
    plain = tuple(f"{start}_{name}" for name in names for start in starts)
    shifted = tuple(f"{start}_{name}_at_prevalence_" for name in stated for start in starts[2:])
    reason = "each class against the rest: sensitivity and specificity do not depend on prevalence; PPV, NPV and "
    reason += "F-beta do, and hold " + ("at the prevalence stated" if stated else "only where classes are as frequent ")
    reason += "" if stated else "as here: state the clinic's with --prevalence"
    return Recommendation("what does a positive mean", plain + shifted, reason)


def _of_ranking(predictions: Predictions) -> Recommendation:
    names, starts = _of_interest(predictions), ("auc", "average_precision")
    reason = "no operating point is fixed: area under the ROC curve"
    reason += (
        ", and average precision, since " + " and ".join(names) + " may be rare" if _imbalanced(predictions) else ""
    )
    chosen = starts if _imbalanced(predictions) else starts[:1]
    metrics = tuple(f"{start}_{name}" for start in chosen for name in names)
    return Recommendation("are positives ranked above negatives", ("macro_auc", *metrics), reason)


def _of_decisions(predictions: Predictions) -> list[Recommendation]:
    if not predictions.labels.malignant:
        return []
    metrics = tuple(f"net_benefit_{name}_at_" for name in _of_interest(predictions))
    reason = "a biopsy follows above a probability that a clinician chooses: net benefit there, and the decision curve"
    return [Recommendation("is a decision by it worth it", metrics, reason)]


def _of_calibration() -> Recommendation:
    reason = "probabilities are shown to people: root Brier score to compare, class-wise and kernel-density error to "
    reason += "say how far probabilities are off, in every class and not in the predicted one alone"
    metrics = ("root_brier", "class_wise_ece", "ece_kde", "nll")
    return Recommendation("are the probabilities true", metrics, reason)


def _of_interest(predictions: Predictions) -> list[str]:
    """Malignant classes, and `malignant` itself where it joins several; all classes where none is malignant."""
    labels = predictions.labels
    if not labels.malignant or len(labels.malignant) == len(labels.names):
        return labels.names
    return list(dict.fromkeys([*labels.malignant, "malignant"]))
