"""Selective prediction: risk against coverage, and the confidence below which to abstain."""

import numpy as np
import pandas as pd

from selcn.evaluation.predictions import Predictions


def risk_coverage(predictions: Predictions) -> pd.DataFrame:
    """Return the error rate among the images of highest confidence (El-Yaniv & Wiener 2010).

    Args:
        predictions: of any images.

    Returns:
        One row a distinct confidence, from the highest on: ``threshold``, ``coverage`` (the share of images with at
        least that confidence) and ``risk`` (the share of errors among them).
    """
    confidence, wrong = predictions.confidence, predictions.predicted != predictions.truth
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    covered = ends + 1
    return pd.DataFrame(
        {
            "threshold": confidence[order][ends],
            "coverage": covered / len(order),
            "risk": np.cumsum(wrong[order])[ends] / covered,
        }
    )


def area_under_risk_coverage(predictions: Predictions) -> float:
    """Return the mean risk over all coverages (AURC, Geifman & El-Yaniv 2017); 0 is best.

    Args:
        predictions: of any images.
    """
    curve = risk_coverage(predictions)
    width = np.diff(curve["coverage"].to_numpy(), prepend=0)
    return float((curve["risk"].to_numpy() * width).sum())


def abstention_threshold(predictions: Predictions, coverage: float) -> float:
    """Return the highest confidence below which to abstain and still predict a required share of these images.

    Args:
        predictions: of any images.
        coverage: the required share, from 0 to 1.
    """
    curve = risk_coverage(predictions)
    enough = curve["coverage"] >= coverage - 1e-12
    return float(curve.loc[enough, "threshold"].max())
