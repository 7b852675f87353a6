"""Time and memory of 2,000 resamples of every classification metric on 2,000 images of 1,500 lesions."""

import resource
import time

import numpy as np
import pandas as pd

from selcn.evaluation import Predictions, evaluate_classification
from selcn.labels import HAM10000

IMAGES, LESIONS = 2_000, 1_500


def simulated_predictions() -> Predictions:
    """Probabilities that favour the true class, with HAM10000's imbalance of diagnoses."""
    generator = np.random.default_rng(0)
    classes = HAM10000.names
    lesion = np.concatenate([np.arange(LESIONS), generator.integers(LESIONS, size=IMAGES - LESIONS)])
    truth = generator.choice(len(classes), size=LESIONS, p=[0.67, 0.11, 0.11, 0.05, 0.03, 0.015, 0.015])[lesion]
    logits = generator.normal(size=(IMAGES, len(classes))) + 2 * np.eye(len(classes))[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    keys = {
        "image_id": [f"image_{number}" for number in range(IMAGES)],
        "group": [f"lesion_{number}" for number in lesion],
        "fold": "test",
        "truth": np.asarray(classes)[truth],
    }
    return Predictions.of(pd.DataFrame(keys | dict(zip(classes, probabilities.T, strict=True))))


def measure() -> dict[str, float]:
    """Seconds, and what the peak of resident memory grew by."""
    predictions = simulated_predictions()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    evaluate_classification(predictions)
    seconds = time.perf_counter() - start
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": seconds, "MiB more at the peak": added}


if __name__ == "__main__":
    print(measure())
