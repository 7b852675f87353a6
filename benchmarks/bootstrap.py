"""Time and memory of 2,000 resamples of every classification metric on 2,000 images of 1,500 lesions.

Beside it a Python loop over resamples of lesions that calls scikit-learn for those of these metrics that it has; the
loop's time is that of ``LOOPED`` resamples, scaled. Alternated repeats, medians.
"""

import resource
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn import metrics

from selcn.evaluation import Predictions, evaluate_classification
from selcn.labels import HAM10000
from timing import medians

IMAGES, LESIONS, RESAMPLES, LOOPED, REPEATS = 2_000, 1_500, 2_000, 20, 3
Metric = Callable[[np.ndarray, np.ndarray], object]


def simulated_predictions(images: int = IMAGES) -> Predictions:
    """Probabilities that favour the true class, with HAM10000's imbalance of diagnoses."""
    generator = np.random.default_rng(0)
    classes = HAM10000.names
    lesions = images * LESIONS // IMAGES
    lesion = np.concatenate([np.arange(lesions), generator.integers(lesions, size=images - lesions)])
    truth = generator.choice(len(classes), size=lesions, p=[0.67, 0.11, 0.11, 0.05, 0.03, 0.015, 0.015])[lesion]
    logits = generator.normal(size=(images, len(classes))) + 2 * np.eye(len(classes))[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    keys = {
        "image_id": [f"image_{number}" for number in range(images)],
        "group": [f"lesion_{number}" for number in lesion],
        "fold": "test",
        "truth": np.asarray(classes)[truth],
    }
    return Predictions.of(pd.DataFrame(keys | dict(zip(classes, probabilities.T, strict=True))))


def of_scikit_learn(classes: int) -> list[Metric]:
    """Each metric as a function of truth (N,) and probabilities (N, C)."""

    def hard(metric: Callable[..., object], **options: object) -> Metric:
        return lambda truth, p: metric(truth, p.argmax(axis=1), **options)

    def one(metric: Callable[..., object], number: int) -> Metric:
        return lambda truth, p: metric(truth == number, p[:, number])

    averaged = [
        hard(metric, average=average, zero_division=0)
        for metric in (metrics.precision_score, metrics.recall_score, metrics.f1_score)
        for average in ("macro", "weighted", None)
    ]
    curves = [
        one(metric, number)
        for number in range(classes)
        for metric in (metrics.roc_auc_score, metrics.average_precision_score, metrics.roc_curve)
    ]
    whole = [hard(metrics.balanced_accuracy_score), hard(metrics.cohen_kappa_score), hard(metrics.accuracy_score)]
    return [*whole, *averaged, *curves, lambda truth, p: metrics.log_loss(truth, p, labels=range(classes))]


def loop(predictions: Predictions) -> None:
    """What a script would do."""
    generator, works = np.random.default_rng(0), of_scikit_learn(len(predictions.classes))
    rows = [*predictions.table.groupby("group", sort=False).indices.values()]
    for _ in range(LOOPED):
        sample = np.concatenate([rows[lesion] for lesion in generator.integers(len(rows), size=len(rows))])
        truth, probabilities = predictions.truth[sample], predictions.probabilities[sample]
        for metric in works:
            metric(truth, probabilities)


def measure(images: int = IMAGES, repeats: int = REPEATS) -> dict[str, float]:
    """Seconds of both, and what the peak of resident memory grew by."""
    predictions = simulated_predictions(images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluate_classification(predictions)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    works = {"ours": lambda: evaluate_classification(predictions), "theirs": lambda: loop(predictions)}
    taken = medians(works, repeats, warm=0)
    ours, theirs = taken["ours"], taken["theirs"] * RESAMPLES / LOOPED
    return {
        "seconds": ours,
        "MiB more at the peak": added,
        "scikit-learn in a loop, seconds": theirs,
        "ratio": theirs / ours,
    }


if __name__ == "__main__":
    print(measure())
