"""When a bundle of a run is not to be relied on: calibration, abstention, prediction sets, and usual images."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from selcn.errors import ConfigError
from selcn.evaluation.conformal import alarm_threshold, fit_prediction_sets
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.recalibration import fit_recalibration
from selcn.evaluation.selective import abstention_threshold
from selcn.inference.reliability import (
    EarlierLayer,
    ImageReliability,
    NetworkReliability,
    Reliability,
    SetThresholds,
    brightness,
    sharpness,
)
from selcn.labels import TEST
from selcn.models.cascade import Cascade
from selcn.models.ensemble import Ensemble
from selcn.models.features import FeatureDistance
from selcn.runs.ensembles import calibration_predictions
from selcn.runs.folder import FEATURES, FEATURES_EARLIER
from selcn.runs.run import Run

COVERAGE = 0.8
"""Share of the images that were calibrated on, of which the target does not abstain."""
SET_COVERAGE = 0.9
"""Share of the images of each class whose prediction set holds the truth, where no other is asked for."""
FALSE_ALARMS = 0.01
"""Share of the images of new lesions that each warning of unusual images is given of, where no other is asked for."""


def measure_reliability(
    run: Run, target: str, ensemble: Ensemble, false_alarms: float | None, coverage: float | None = None
) -> Reliability:
    """Measure the target's reliability, and set each member's feature distances; of the images alone without labels.

    Biases and abstention are those of the single members out of fold. The temperature is that of the ensemble where the
    split has a calibration subset, else of the members, too, whose mean is less confident than they are. Prediction
    sets come from the members out of fold, recalibrated as the ensemble is, whose probabilities make them.

    Args:
        run: that is evaluated.
        target: name of the classifier.
        ensemble: of the bundle; its members' distances are set.
        false_alarms: see `selcn.runs.bundling.BundleOptions`.
        coverage: see `selcn.runs.bundling.BundleOptions`.

    Raises:
        ConfigError: there are too few lesions for that share of false alarms, or of a class for that coverage.
    """
    if not run.labelled(target)[np.concatenate(run.fold_rows)].any():
        return Reliability(image=_usual_images(run, false_alarms or FALSE_ALARMS), networks={})
    members = [*ensemble.members]
    fitted, distances, units = zip(*_distances(run, target, FEATURES), strict=True)
    held, lesions = torch.cat(distances).numpy().astype(np.float64), pd.Series(np.concatenate(units))
    rate = max(FALSE_ALARMS, 1 / (lesions.nunique() + 1)) if false_alarms is None else false_alarms
    for member, distance in zip(members, fitted, strict=True):
        member.distance = distance.to(next(member.parameters()).device)
    predictions = run.predictions(target)
    held_out = predictions.table[predictions.table["fold"] != TEST].reset_index(drop=True)
    out_of_fold = Predictions(predictions.labels, held_out)
    own, calibration = fit_recalibration(out_of_fold), calibration_predictions(run, ensemble, target)
    # The calibration subset is small: it tells how confident the ensemble may be, and neither how frequent a rare class
    # is nor how many images are hard.
    found = own if calibration is None else fit_recalibration(calibration, own.bias)
    recalibrated = own.of(out_of_fold)
    network = NetworkReliability(
        temperature=found.temperature,
        bias=found.bias,
        abstain_below=abstention_threshold(recalibrated, COVERAGE),
        coverage=COVERAGE,
        distance=alarm_threshold(held, lesions, rate),
        components=tuple(one.whitening.shape[1] for one in fitted),
        sets=_sets(found.of(out_of_fold), coverage),
        false_alarms=rate,
        earlier=_fit_earlier(run, target, members),
    )
    return Reliability(image=_usual_images(run, rate), networks={target: network})


def _fit_distance(known: Tensor, units: np.ndarray) -> tuple[FeatureDistance, Tensor, np.ndarray]:
    """A feature distance fitted to one half of the groups, and the distances (m,) and groups (m,) of the other half.

    All images are of the fold that the member was not trained on: features of training images lie closer together.

    Args:
        known: features float (n, C).
        units: group of each image (n,).
    """
    names = np.unique(units)
    first = np.isin(units, np.random.default_rng(0).permutation(names)[: max(1, len(names) // 2)])
    chosen = torch.from_numpy(first)
    distance = FeatureDistance.fit(known[chosen])
    rest = ~chosen if bool((~chosen).any()) else chosen
    return distance, distance(known[rest]), units[rest.numpy()]


def _sets(out_of_fold: Predictions, coverage: float | None) -> SetThresholds | None:
    """Thresholds of prediction sets; none where a class has too few lesions and no coverage is asked for.

    Raises:
        ConfigError: a coverage is asked for that the lesions cannot give.
    """
    try:
        fitted = fit_prediction_sets(out_of_fold, SET_COVERAGE if coverage is None else coverage)
    except ConfigError:
        if coverage is not None:
            raise
        return None
    return SetThresholds(coverage=fitted.coverage, lowest=fitted.thresholds)


def _distances(run: Run, target: str, name: str) -> Iterator[tuple[FeatureDistance, Tensor, np.ndarray]]:
    """`_fit_distance` of each member on the fold that it was not trained on; ``name`` is that of the features' file."""
    features = run.output(target, name)
    for rows in run.fold_rows:
        units = run.table["image_id"].iloc[rows].map(run.split.group).to_numpy()
        yield _fit_distance(torch.from_numpy(np.array(features[rows])), units)


def _fit_earlier(run: Run, target: str, members: list[Cascade]) -> EarlierLayer | None:
    """Set each member's feature distance at the stage before; None where its features were not kept."""
    if not (run.folder.outputs(target) / FEATURES_EARLIER).is_file():
        return None
    fitted = [distance for distance, _, _ in _distances(run, target, FEATURES_EARLIER)]
    for member, distance in zip(members, fitted, strict=True):
        member.distance_earlier = distance.to(next(member.parameters()).device)
    channels, _ = fitted[0].whitening.shape
    return EarlierLayer(channels=channels, components=tuple(one.whitening.shape[1] for one in fitted))


def _usual_images(run: Run, false_alarms: float) -> ImageReliability:
    """Ranges that leave the stated share of the fold images out, half of it at either end."""
    images = [np.asarray(run.store.images[row]) for rows in run.fold_rows for row in rows]
    ends = (50 * false_alarms, 100 - 50 * false_alarms)
    low, high = map(float, np.percentile([brightness(image) for image in images], ends))
    blurred, sharp = map(float, np.percentile([sharpness(image) for image in images], ends))
    return ImageReliability(sharpness=blurred, brightness=(low, high), sharpest=sharp)
