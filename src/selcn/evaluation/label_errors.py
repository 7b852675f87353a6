"""Labels that are probably wrong, told from out-of-sample probabilities: confident learning (Northcutt et al. 2021).

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels. Journal of Artificial
Intelligence Research 70:1373.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selcn.evaluation.predictions import FloatArray, IntArray, Predictions

COLUMNS = ["rank", "image_id", "group", "fold", "given", "suggested", "p_given", "p_suggested", "margin"]


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Labels that are probably wrong.

    Attributes:
        table: one row an image, the surest error first: ``rank, image_id, group, fold, given, suggested, p_given,
            p_suggested, margin``; ``margin`` is ``p_given - p_suggested``.
        joint: estimated number of images by given label (rows) and true label (columns), of all images.
        images: how many images were examined.
    """

    table: pd.DataFrame
    joint: pd.DataFrame
    images: int

    @property
    def estimated(self) -> float:
        """Estimated number of wrong labels: images off the joint's diagonal."""
        values = self.joint.to_numpy()
        return float(values.sum() - np.trace(values))


def find_label_errors(predictions: Predictions) -> LabelErrors:
    """Return the images whose label is confidently another, and an estimate of how many labels are wrong.

    A class is confident for an image if its probability reaches the mean probability of that class over the images
    with that label. The most probable of an image's confident classes is its true class; images without a confident
    class say nothing. Images whose true class is not their label are errors.

    Args:
        predictions: of networks that were not trained on the images they predict.
    """
    truth, probabilities = predictions.truth, predictions.probabilities
    suggested = confident_classes(truth, probabilities)
    wrong = np.flatnonzero((suggested >= 0) & (suggested != truth))
    names = np.array(predictions.classes)
    rows = predictions.table.iloc[wrong]
    of_given, of_other = (probabilities[wrong, numbers[wrong]] for numbers in (truth, suggested))
    table = pd.DataFrame(
        {
            **{name: rows[name].to_numpy() for name in ("image_id", "group", "fold")},
            "given": names[truth[wrong]],
            "suggested": names[suggested[wrong]],
            "p_given": of_given,
            "p_suggested": of_other,
            "margin": of_given - of_other,
        }
    ).sort_values(["margin", "image_id"], ignore_index=True)
    joint = joint_counts(truth, suggested, len(names))
    ranked = table.assign(rank=np.arange(1, len(table) + 1))[COLUMNS]
    return LabelErrors(ranked, pd.DataFrame(joint, index=names, columns=names), len(truth))


def confident_classes(labels: IntArray, probabilities: FloatArray) -> IntArray:
    """The class that each image confidently is, -1 where it is none, int64 (N,).

    Args:
        labels: class numbers (N,).
        probabilities: (N, C), out of sample.
    """
    classes = probabilities.shape[1]
    thresholds = np.full(classes, np.inf)  # of a class without images, which no image is confidently of
    for number in np.unique(labels):
        thresholds[number] = probabilities[labels == number, number].mean()
    confident = np.where(probabilities >= thresholds - 1e-9, probabilities, -1.0)
    found: IntArray = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), -1)
    return found


def joint_counts(labels: IntArray, suggested: IntArray, classes: int) -> FloatArray:
    """Estimated number of images by label and true class (C, C): confident counts, scaled to the labels' own counts.

    Args:
        labels: class numbers (N,).
        suggested: of `confident_classes`, (N,).
        classes: C.
    """
    known = suggested >= 0
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels[known], suggested[known]), 1)
    empty = counts.sum(axis=1) == 0
    counts[np.diag(empty)] = 1  # nothing is known of these labels, which count as right
    scaled: FloatArray = counts / counts.sum(axis=1, keepdims=True) * np.bincount(labels, minlength=classes)[:, None]
    return scaled
