"""Make a bundle of a finished run: networks, reliability measured out of fold, metrics, model card."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.sources import licence_of
from selcn.errors import ConfigError, RunError
from selcn.evaluation.conformal import fit_prediction_sets
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.selective import abstention_threshold
from selcn.evaluation.temperature import fit_temperature
from selcn.inference.assembly import round_networks, share_networks, write_bundle
from selcn.inference.bundle import BundleConfig, DataSource, Preparation
from selcn.inference.reliability import (
    ImageReliability,
    NetworkReliability,
    Reliability,
    SetThresholds,
    brightness,
    sharpness,
)
from selcn.io.files import written_whole
from selcn.labels import TEST
from selcn.models.cascade import Ensemble
from selcn.models.features import FeatureDistance
from selcn.models.plain import write_plain
from selcn.runs.card import model_card
from selcn.runs.ensembles import calibration_predictions, headlines, score_test_subset
from selcn.runs.folder import FEATURES
from selcn.runs.run import Run, open_run
from selcn.runs.taken import earlier_lesions, taken_sources, training_lesions

COVERAGE = 0.8
"""Share of the out-of-fold images on which the target does not abstain."""
SET_COVERAGE = 0.9
"""Share of the images of each class whose prediction set holds the truth."""
_USUAL = (0.5, 99.5)  # percentiles of sharpness and brightness of training images
_FAR = 99.0  # percentile of out-of-fold feature distances


def bundle_run(
    path: Path,
    out: Path,
    network: str | None = None,
    *,
    plain: bool = False,
    share: Sequence[str] = (),
    half: bool | None = None,
) -> BundleConfig:
    """Bundle a network of an evaluated run with all that it needs.

    Args:
        path: the run's folder.
        out: folder to make.
        network: its name; None for the target.
        plain: also write its network of each member as a state dict of timm or torchvision.
        share: names of networks of which the first member's serve all members; none for what the run's configuration
            says.
        half: whether to store the weights in 16 bits; None for what the run's configuration says.

    Raises:
        RunError: no run, or it has not been evaluated.
        ConfigError: ``out`` exists, the run has no such network, the bundle none of ``share``, or it has no plain state
            dict.
    """
    run = open_run(path)
    name = run.known(network)
    if not run.folder.metrics(name).is_file():
        raise RunError(
            f"{path}: {name} has not been evaluated; resume with `selcn run {run.folder.config} --out {path}`"
        )
    if out.exists():
        raise ConfigError(f"{out}: exists already; remove it or choose another --out")
    with written_whole(out) as partial:
        partial.mkdir()
        return fill_bundle(partial, run, name, plain=plain, share=share, half=half)


def fill_bundle(
    out: Path, run: Run, target: str, *, plain: bool = False, share: Sequence[str] = (), half: bool | None = None
) -> BundleConfig:
    """Write the bundle of one network of an evaluated run into an empty folder.

    Args:
        out: the folder.
        run: that is evaluated.
        target: name of the network.
        plain: see `bundle_run`.
        share: see `bundle_run`.
        half: see `bundle_run`.

    Raises:
        ConfigError: ``plain`` of a network that has no plain state dict, or the bundle has none of ``share``.
    """
    names, half = run.graph.bundled(target), run.config.bundle.half if half is None else half
    share = _shared(names, share) or [name for name in run.config.bundle.share if name in names]
    members = [run.cascade(fold, names) for fold in range(run.split.folds)]
    ensemble = Ensemble(members)
    share_networks(ensemble, share)
    if half:
        round_networks(ensemble)
    files = write_plain(out, [member.networks[target] for member in members], members[0].specs[target]) if plain else []
    measured = target in run.graph.classifiers
    reliability = _measure(run, target, ensemble) if measured else None
    config = BundleConfig(
        selcn=version("selcn"),
        name=run.folder.path.resolve().name,
        prepare=Preparation(size=run.config.prepare.size, hair=run.config.prepare.hair),
        networks={name: _with_size(spec, members[0].networks[name]) for name, spec in members[0].specs.items()},
        target=target,
        members=run.split.folds,
        shared=tuple(share),
        split=run.split.fingerprint,
        reliability=reliability,
        sources=_sources(run, names),
    )
    # Those of the run are of its own members in 32 bits.
    metrics = (score_test_subset(run, ensemble, [*reversed(names)]) if share or half else []) or _metrics(run, config)
    write_bundle(
        out,
        config,
        ensemble,
        metrics=metrics,
        training=run.config.model_dump(mode="json"),
        lesions=[*training_lesions(run.table, np.concatenate(run.fold_rows)), *earlier_lesions(run, names)],
        card=model_card(config, metrics, run.split.protocol, plain=files),
        further=files,
        half=half,
    )
    return config


def _shared(names: Sequence[str], share: Sequence[str]) -> list[str]:
    for name in share:
        if name not in names:
            raise ConfigError(f"--share {name}: is not in the bundle, which holds {', '.join(names)}")
    return [name for name in names if name in share]


def fit_distance(known: Tensor, units: np.ndarray) -> tuple[FeatureDistance, Tensor]:
    """A feature distance fitted to one half of the groups, and the distances of the other half.

    All images are of the fold that the member was not trained on: features of training images lie closer together.

    Args:
        known: features float (n, C).
        units: group of each image (n,).
    """
    names = np.unique(units)
    first = np.isin(units, np.random.default_rng(0).permutation(names)[: max(1, len(names) // 2)])
    chosen = torch.from_numpy(first)
    distance = FeatureDistance.fit(known[chosen])
    rest = known[~chosen] if bool((~chosen).any()) else known
    return distance, distance(rest)


def _with_size(spec: SegmenterSpec | ClassifierSpec, network: nn.Module) -> SegmenterSpec | ClassifierSpec:
    """The specification with the input size of a transformer that takes its own."""
    return spec.model_copy(update={"size": network.size})


def _sets(calibrated: Predictions) -> SetThresholds | None:
    """Thresholds of prediction sets; none where a class has too few lesions."""
    try:
        fitted = fit_prediction_sets(calibrated, SET_COVERAGE)
    except ConfigError:
        return None
    return SetThresholds(coverage=fitted.coverage, lowest=fitted.thresholds)


def _measure(run: Run, target: str, ensemble: Ensemble) -> Reliability:
    """Measure the target's reliability, and set each member's feature distance; of the images alone without labels.

    Temperature and abstention are those of the ensemble where the split has a calibration subset, else of the single
    members out of fold, whose mean is less confident than they are. Prediction sets come from the calibration subset
    where each class has enough lesions there, else from the members out of fold.
    """
    if not run.labelled(target)[np.concatenate(run.fold_rows)].any():
        return Reliability(image=_usual_images(run), networks={})
    features, distances, members = run.output(target, FEATURES), [], [*ensemble.members]
    for member, rows in zip(members, run.fold_rows, strict=True):
        units = run.table["image_id"].iloc[rows].map(run.split.group).to_numpy()
        member.distance, held = fit_distance(torch.from_numpy(np.array(features[rows])), units)
        distances.append(held)
    predictions = run.predictions(target)
    held_out = predictions.table[predictions.table["fold"] != TEST].reset_index(drop=True)
    out_of_fold = Predictions(predictions.labels, held_out)
    own = fit_temperature(out_of_fold)
    calibration = calibration_predictions(run, ensemble, target)
    temperature = own if calibration is None else fit_temperature(calibration)
    calibrated = temperature.of(out_of_fold if calibration is None else calibration)
    components = [member.distance.whitening.shape[1] for member in members if member.distance]
    network = NetworkReliability(
        temperature=temperature.value,
        abstain_below=abstention_threshold(calibrated, COVERAGE),
        coverage=COVERAGE,
        distance=float(np.percentile(torch.cat(distances).numpy(), _FAR)),
        components=tuple(components),
        sets=_sets(calibrated) or _sets(own.of(out_of_fold)),
    )
    return Reliability(image=_usual_images(run), networks={target: network})


def _usual_images(run: Run) -> ImageReliability:
    images = [np.asarray(run.store.images[row]) for rows in run.fold_rows for row in rows]
    low, high = np.percentile([brightness(image) for image in images], _USUAL)
    sharp = np.percentile([sharpness(image) for image in images], _USUAL[0])
    return ImageReliability(sharpness=float(sharp), brightness=(float(low), float(high)))


def _sources(run: Run, names: Sequence[str]) -> tuple[DataSource, ...]:
    counts = run.table["source"].replace("", "not named").value_counts().sort_index()
    own = [
        DataSource(name=str(name), images=int(count), licence=licence_of(str(name))) for name, count in counts.items()
    ]
    known = {source.name for source in own}
    return (*own, *(source for source in taken_sources(run.graph, names) if source.name not in known))


def _metrics(run: Run, config: BundleConfig) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for name in reversed(config.networks):
        path = run.folder.metrics(name)
        if path.is_file():
            found += headlines(pd.read_csv(path), name)
    return found
