"""Write an ensemble as a bundle; rebuild it from one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from selcn.errors import RunError
from selcn.inference.bundle import (
    CARD,
    CONFIG,
    LESIONS,
    MANIFEST,
    METRICS,
    TRAINING,
    WEIGHTS,
    BundleConfig,
    read_config,
)
from selcn.io.files import sha256
from selcn.models.build import build_network
from selcn.models.cascade import Cascade, Ensemble, Specs
from selcn.models.features import FeatureDistance


def write_bundle(
    folder: Path,
    config: BundleConfig,
    ensemble: Ensemble,
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
    training: Mapping[str, Any] | None = None,
    lesions: Sequence[str] = (),
    card: str = "",
    further: Sequence[str] = (),
) -> None:
    """Write a bundle into an empty folder, the manifest last.

    Args:
        folder: to write to.
        config: the bundle's configuration.
        ensemble: its networks.
        metrics: with intervals, a mapping each.
        training: the run's configuration.
        lesions: hashes of the lesions and images of training, see `selcn.inference.bundle.lesion_hash`.
        card: the model card, Markdown with its metadata first.
        further: files that are in the folder already, relative to it, whose checksums are to be recorded too.
    """
    texts = {
        CONFIG: config.to_json(),
        METRICS: json.dumps(list(metrics), indent=1),
        TRAINING: json.dumps(training or {}, indent=1),
        LESIONS: "".join(f"{one}\n" for one in sorted(set(lesions))),
        CARD: card,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    # Networks with shared tensors would need care here; no network here has any.
    save_file({name: value.contiguous() for name, value in ensemble.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes the file private to its owner, whatever the umask
    checksums = {name: sha256(folder / name) for name in (*texts, WEIGHTS, *further)}
    (folder / MANIFEST).write_text(json.dumps({"sha256": checksums}, indent=1), encoding="utf-8", newline="\n")


def read_bundle(path: Path) -> tuple[BundleConfig, Ensemble]:
    """Verify every checksum, rebuild the networks and load their weights, in eval mode on the CPU.

    Args:
        path: of the bundle.

    Raises:
        RunError: no bundle, or a file is missing, changed or does not fit; the line names it.
    """
    config = read_config(path)
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    components = measured.components if measured else (None,) * config.members
    earlier = measured.earlier if measured else None
    ensemble = Ensemble([build_cascade(config.networks, one) for one in components])
    for member, count in zip(ensemble.members, earlier.components if earlier else (), strict=False):
        assert earlier
        member.distance_earlier = FeatureDistance(earlier.channels, count)
    load_weights(ensemble, path / WEIGHTS)
    return config, ensemble.eval()


def build_cascade(specs: Specs, components: int | None = None) -> Cascade:
    """A cascade with random weights.

    Args:
        specs: its networks by name, in the order in which they run.
        components: directions along which the distance of features is measured; None for no distance.
    """
    networks = {name: build_network(spec) for name, spec in specs.items()}
    channels = getattr(list(networks.values())[-1], "channels", None)
    distance = FeatureDistance(channels, components) if components is not None and channels is not None else None
    return Cascade(specs, networks, distance)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a network's safetensors file, every key of it.

    Args:
        network: filled in place.
        path: of the file.

    Raises:
        RunError: missing, unreadable, or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}); make it anew") from None
    except RuntimeError as error:
        raise RunError(f"{path}: holds another network's weights ({' '.join(str(error).split())[:120]})") from None
