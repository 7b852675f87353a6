"""A finished run -> a bundle: networks, safeguards measured on the validation folds, figures, card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from selcn.config import Variant
from selcn.data.datasets import as_floats, gather_images
from selcn.data.licences import licence_of
from selcn.data.store.store import Store
from selcn.errors import ConfigError, RunError
from selcn.evaluation import abstention_threshold, fit_temperature, read_predictions
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.registry import headline_metrics
from selcn.inference.assembly import assemble, write_bundle
from selcn.inference.bundle import BundleConfig, DataSource
from selcn.inference.reliability import Safeguards, brightness, sharpness
from selcn.io.files import written_whole
from selcn.labels import TEST
from selcn.models.cascade import Cascade
from selcn.models.features import FeatureDistance
from selcn.runs.card import model_card
from selcn.runs.out_of_fold import in_batches
from selcn.runs.trained import Trained, open_trained

COVERAGE = 0.8
"""Share of the validation images whose diagnosis is surely enough to be given."""
_USUAL = (0.5, 99.5)  # percentiles of what training pictures look like
_FAR = 99.0


def bundle_run(run: Path, out: Path, variant: str | None = None) -> BundleConfig:
    """Bundle a lesion classifier of an evaluated run with all that goes before it.

    Args:
        run: the run's folder.
        out: folder to make.
        variant: the classifier's name; None for the one that the run bundles itself.

    Raises:
        RunError: no run, or it has not been evaluated.
        ConfigError: ``out`` exists, or the run has no such variant.
    """
    trained = open_trained(run)
    chosen = trained.variant(variant)
    if not (run / "evaluation" / f"{chosen.name}.csv").is_file():
        raise RunError(f"{run}: has not been evaluated; go on with `selcn run {run / 'config.yaml'} --out {run}`")
    if out.exists():
        raise ConfigError(f"{out}: exists already; remove it or choose another --out")
    with written_whole(out) as partial:
        partial.mkdir()
        return deploy(partial, trained, chosen)


def deploy(out: Path, trained: Trained, variant: Variant) -> BundleConfig:
    """Fill an empty folder with the bundle of one variant of an evaluated run."""
    run, table, split, store, members = (
        *(trained.folder, trained.table, trained.split),
        *(trained.store, trained.members),
    )
    base = members.bundle_config(variant, split.fingerprint)
    ensemble = assemble(base, members.weights(variant))
    folds = [split.rows(table, str(fold)) for fold in range(split.folds)]
    distances = []
    for member, rows in zip(ensemble.members, folds, strict=True):
        groups = table["image_id"].iloc[rows].map(split.group).to_numpy()
        member.distance, held = fit_distance(features(member, store, rows), groups)
        distances.append(held)
    config = base.model_copy(
        update={
            "components": tuple(member.distance.whitening.shape[1] for member in ensemble.members if member.distance),
            "safeguards": _safeguards(run, variant, store, np.concatenate(folds), torch.cat(distances)),
            "sources": _sources(table),
        }
    )
    metrics = _metrics(run, config)
    write_bundle(out, config, ensemble, metrics=metrics, card=model_card(config, metrics))
    return config


@torch.inference_mode()
def features(member: Cascade, store: Store, rows: np.ndarray) -> Tensor:
    """Pooled features (n, C) that a member's classifier has of some rows, on the CPU."""
    member.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's overloads
    parts = []
    for batch in in_batches(rows):
        _, _, diagnosis = member.trace(as_floats(gather_images(store, batch)))
        parts.append(diagnosis.activations.mean((2, 3)))
    return torch.cat(parts).clone()


def fit_distance(known: Tensor, groups: np.ndarray) -> tuple[FeatureDistance, Tensor]:
    """Fit to one half of the groups, and give the distances of the other half.

    All are of the fold that the member did not train on: features of training images lie closer together.

    Args:
        known: features (n, C).
        groups: of each image (n,).
    """
    names = np.unique(groups)
    first = np.isin(groups, np.random.default_rng(0).permutation(names)[: max(1, len(names) // 2)])
    chosen = torch.from_numpy(first)
    distance = FeatureDistance.fit(known[chosen])
    rest = known[~chosen] if bool((~chosen).any()) else known
    return distance, distance(rest)


def _safeguards(run: Path, variant: Variant, store: Store, rows: np.ndarray, distances: Tensor) -> Safeguards:
    said = read_predictions(run / "predictions" / f"{variant.name}.csv")
    held = Predictions(said.labels, said.table[said.table["fold"] != TEST].reset_index(drop=True))
    temperature = fit_temperature(held)
    pictures = [np.asarray(store.images[row]) for row in rows]
    bright = np.percentile([brightness(picture) for picture in pictures], _USUAL)
    return Safeguards(
        temperature=temperature.value,
        abstain_below=abstention_threshold(temperature.of(held), COVERAGE),
        coverage=COVERAGE,
        sharpness=float(np.percentile([sharpness(picture) for picture in pictures], _USUAL[0])),
        brightness=(float(bright[0]), float(bright[1])),
        distance=float(np.percentile(distances.numpy(), _FAR)),
    )


def _sources(table: pd.DataFrame) -> tuple[DataSource, ...]:
    counts = table["source"].replace("", "not named").value_counts().sort_index()
    return tuple(
        DataSource(name=str(name), images=int(count), licence=licence_of(str(name))) for name, count in counts.items()
    )


def _metrics(run: Path, config: BundleConfig) -> list[Mapping[str, Any]]:
    names = {
        "diagnosis": config.variant.name,
        "symmetry": f"symmetry-{config.cam_mask}",
        "segmentation": "segmentation",
    }
    found: list[Mapping[str, Any]] = []
    for stage, name in names.items():
        figures = pd.read_csv(run / "evaluation" / f"{name}.csv")
        rows = figures[figures["metric"].isin(headline_metrics(figures["metric"]))].astype(object)
        found += rows.where(rows.notna(), None).assign(network=stage).to_dict("records")  # type: ignore[arg-type]
    return found
