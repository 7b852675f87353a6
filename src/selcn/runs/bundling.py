"""Make a bundle of a finished run: networks, reliability measured out of fold, metrics, model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.sources import licence_of
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import round_networks, share_networks, write_bundle
from selcn.inference.bundle import BundleConfig, DataSource, Preparation
from selcn.inference.reliability import NetworkReliability, Reliability
from selcn.io.files import written_whole
from selcn.labels import CALIBRATION
from selcn.models.cascade import Cascade
from selcn.models.ensemble import Ensemble
from selcn.models.plain import write_plain
from selcn.runs.card import Background, model_card
from selcn.runs.ensembles import headlines, score_test_subset
from selcn.runs.provenance import annotator_lines, cost_lines
from selcn.runs.reliability import measure_reliability
from selcn.runs.run import Run, open_run
from selcn.runs.subgroups import run_subgroups, subgroup_lines
from selcn.runs.taken import earlier_lesions, taken_sources, training_lesions


@dataclass(frozen=True)
class BundleOptions:
    """What is asked of a bundle beside its network.

    Attributes:
        plain: also write the network of each member as a state dict of timm or torchvision.
        share: names of networks of which the first member's serve all members; none for what the run's configuration
            says.
        half: whether to store the weights in 16 bits; None for what the run's configuration says.
        false_alarms: share of the images of new lesions that each warning is given of; None for `FALSE_ALARMS` of
            `selcn.runs.reliability` or, with fewer lesions than that needs, the lowest that they allow.
        coverage: share of the images of each class of new lesions whose prediction set holds the truth; None for
            `SET_COVERAGE` of `selcn.runs.reliability` or, with fewer lesions of a class than that needs, no sets.
    """

    plain: bool = False
    share: tuple[str, ...] = ()
    half: bool | None = None
    false_alarms: float | None = None
    coverage: float | None = None


AS_CONFIGURED = BundleOptions()
CPU = torch.device("cpu")


def bundle_run(
    path: Path,
    out: Path,
    network: str | None = None,
    options: BundleOptions = AS_CONFIGURED,
    device: torch.device = CPU,
) -> BundleConfig:
    """Bundle a network of an evaluated run with all that it needs.

    Args:
        path: the run's folder.
        out: folder to make.
        network: its name; None for the target.
        options: what is asked of it.
        device: where the ensemble predicts, to be calibrated and scored.

    Raises:
        RunError: no run, or it has not been evaluated.
        ConfigError: ``out`` exists, the run has no such network, the bundle none of those to be shared, it has no plain
            state dict, or the share of false alarms or the coverage is out of range or needs more lesions.
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
        return fill_bundle(partial, run, name, options, device)


def fill_bundle(
    out: Path, run: Run, target: str, options: BundleOptions = AS_CONFIGURED, device: torch.device = CPU
) -> BundleConfig:
    """Write the bundle of one network of an evaluated run into an empty folder.

    Args:
        out: the folder.
        run: that is evaluated.
        target: name of the network.
        options: what is asked of it.
        device: where the ensemble predicts, to be calibrated and scored.

    Raises:
        ConfigError: see `bundle_run`.
    """
    names, asked = run.graph.bundled(target), run.config.bundle
    half = asked.half if options.half is None else options.half
    share = _shared(names, options.share) or [name for name in asked.share if name in names]
    ensemble = _built(run, names, share, half=half)
    members = [*ensemble.members]
    networks, files = [member.networks[target] for member in members], list[str]()
    if options.plain:
        files = write_plain(out, networks, members[0].specs[target])
    measured = target in run.graph.classifiers
    _check_shares(run, target, options)
    ensemble.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rates = options.false_alarms, options.coverage
    reliability = measure_reliability(run, target, ensemble, *rates) if measured else None
    config = _described(run, target, members[0], share, reliability)
    # Those of the run are of its own members in 32 bits, and not calibrated.
    scored = score_test_subset(run, ensemble, [*reversed(names)], _measured(config)) if share or half else []
    metrics = scored or _metrics(run, config)
    ensemble.to(CPU, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    write_bundle(
        out,
        config,
        ensemble,
        metrics=metrics,
        training=run.config.model_dump(mode="json"),
        lesions=[*training_lesions(run.table, _seen(run)), *earlier_lesions(run, names)],
        card=model_card(config, metrics, run.split.protocol, plain=files, background=_background(run, names, target)),
        further=files,
        half=half,
    )
    return config


def _check_shares(run: Run, target: str, options: BundleOptions) -> None:
    """Refuse shares out of range or of no classifier, and a coverage where no image of the folds has a label."""
    measured = target in run.graph.classifiers
    for option, share in (("--false-alarms", options.false_alarms), ("--coverage", options.coverage)):
        if share is not None and not (measured and 0 < share < 1):
            raise ConfigError(f"{option} {share:g}: give a share above 0 and below 1, of a bundle of classes")
    if options.coverage is not None and not run.labelled(target)[np.concatenate(run.fold_rows)].any():
        raise ConfigError(f"--coverage: no image of the folds has a label of {target}; leave it out")


def _described(
    run: Run, target: str, first: Cascade, share: Sequence[str], reliability: Reliability | None
) -> BundleConfig:
    """What `config.json` says of a bundle whose first member is given."""
    return BundleConfig(
        selcn=version("selcn"),
        name=run.folder.path.resolve().name,
        prepare=Preparation(size=run.config.prepare.size, hair=run.config.prepare.hair),
        networks={name: _with_size(spec, first.networks[name]) for name, spec in first.specs.items()},
        target=target,
        members=run.split.folds,
        shared=tuple(share),
        split=run.split.fingerprint,
        reliability=reliability,
        sources=_sources(run, run.graph.bundled(target)),
    )


def _built(run: Run, names: Sequence[str], share: Sequence[str], *, half: bool) -> Ensemble:
    """The members of a run as the bundle holds them."""
    ensemble = Ensemble([run.cascade(fold, names) for fold in range(run.split.folds)])
    share_networks(ensemble, share)
    if half:
        round_networks(ensemble)
    return ensemble


def _seen(run: Run) -> np.ndarray:
    """Rows that networks are trained or the ensemble is calibrated on, int (n,)."""
    return np.concatenate([*run.fold_rows, run.split.rows(run.table, CALIBRATION)])


def _shared(names: Sequence[str], share: Sequence[str]) -> list[str]:
    for name in share:
        if name not in names:
            raise ConfigError(f"--share {name}: is not in the bundle, which holds {', '.join(names)}")
    return [name for name in names if name in share]


def _with_size(spec: SegmenterSpec | ClassifierSpec, network: nn.Module) -> SegmenterSpec | ClassifierSpec:
    """The specification with the input size of a transformer that takes its own."""
    return spec.model_copy(update={"size": network.size})


def _measured(config: BundleConfig) -> dict[str, NetworkReliability]:
    return config.reliability.networks if config.reliability else {}


def _sources(run: Run, names: Sequence[str]) -> tuple[DataSource, ...]:
    counts = run.table["source"].replace("", "not named").value_counts().sort_index()
    own = [
        DataSource(name=str(name), images=int(count), licence=licence_of(str(name))) for name, count in counts.items()
    ]
    known = {source.name for source in own}
    return (*own, *(source for source in taken_sources(run.graph, names) if source.name not in known))


def _background(run: Run, names: Sequence[str], target: str) -> Background:
    scored = target in run.graph.classifiers and run.folder.prediction_file(target).is_file()
    subgroups = subgroup_lines(run_subgroups(run, target)) if scored else []
    return Background(annotator_lines(run.table), cost_lines(run, names), subgroups)


def _metrics(run: Run, config: BundleConfig) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for name in reversed(config.networks):
        path = run.folder.metrics(name)
        if path.is_file():
            found += headlines(pd.read_csv(path), name)
    return found
