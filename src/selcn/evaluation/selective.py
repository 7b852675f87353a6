"""Answering only where it is sure: risk against coverage, and the threshold for a wanted risk."""

import numpy as np
import pandas as pd

from selcn.evaluation.predictions import Predictions


def risk_coverage(predictions: Predictions) -> pd.DataFrame:
    """Share of wrong answers among the surest images (El-Yaniv & Wiener 2010).

    Returns:
        One row a distinct confidence, from the surest on: ``threshold, coverage, risk``; images of one confidence are
        answered together.
    """
    probabilities = predictions.probabilities
    confidence = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != predictions.truth
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    answered = ends + 1
    return pd.DataFrame(
        {
            "threshold": confidence[order][ends],
            "coverage": answered / len(order),
            "risk": np.cumsum(wrong[order])[ends] / answered,
        }
    )


def area_under_risk_coverage(predictions: Predictions) -> float:
    """Mean risk over all coverages (AURC, Geifman & El-Yaniv 2017): 0 where the wrong answers are the least sure."""
    curve = risk_coverage(predictions)
    width = np.diff(curve["coverage"].to_numpy(), prepend=0)
    return float((curve["risk"].to_numpy() * width).sum())


def abstention_threshold(predictions: Predictions, coverage: float) -> float:
    """Confidence below which to abstain, so that at least a share ``coverage`` of these images is answered."""
    curve = risk_coverage(predictions)
    enough = curve["coverage"] >= coverage - 1e-12
    return float(curve.loc[enough, "threshold"].max())
