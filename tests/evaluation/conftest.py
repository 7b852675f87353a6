"""Random prediction tables, shared by the tests of this package."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from selcn.evaluation import Predictions
from selcn.labels import HAM10000, LabelSet

DrawPredictions = Callable[..., Predictions]


@pytest.fixture
def draw_predictions() -> DrawPredictions:
    """Make predictions of given size: some lesions have several images, a third of the lesions is the test subset."""

    def draw(images: int = 60, lesions: int = 40, labels: LabelSet = HAM10000, seed: int = 0) -> Predictions:
        names, generator = labels.names, np.random.default_rng(seed)
        lesion = np.concatenate([np.arange(lesions), generator.integers(lesions, size=images - lesions)])
        truth = (np.arange(lesions) % len(names))[lesion]
        logits = generator.normal(size=(images, len(names))) + np.eye(len(names))[truth]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        keys = {
            "image_id": [f"image_{number:03}" for number in range(images)],
            "group": [f"lesion_{number:03}" for number in lesion],
            "fold": np.asarray(["test", "0", "1"])[(lesion // len(names)) % 3],
            "truth": np.asarray(names)[truth],
        }
        return Predictions.of(pd.DataFrame(keys | dict(zip(names, probabilities.T, strict=True))), labels=labels)

    return draw
