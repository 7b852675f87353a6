"""Write an ensemble as a bundle; rebuild it from one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from selcn.errors import ConfigError, RunError
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
from selcn.models.cascade import Cascade, Specs
from selcn.models.ensemble import Ensemble
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
    half: bool = False,
) -> None:
    """Write a bundle into an empty folder, the manifest last.

    Args:
        folder: to write to.
        config: the bundle's configuration.
        ensemble: its networks, with the shared ones in common.
        metrics: with intervals, a mapping each.
        training: the run's configuration.
        lesions: hashes of the lesions and images of training, see `selcn.inference.bundle.lesion_hash`.
        card: the model card, Markdown with its metadata first.
        further: files that are in the folder already, relative to it, whose checksums are to be recorded too.
        half: whether the networks' weights are stored in 16 bits.
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
    save_file(_stored(ensemble, config, half=half), folder / WEIGHTS)
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
    share_networks(ensemble, config.shared)
    for member, count in zip(ensemble.members, earlier.components if earlier else (), strict=False):
        assert earlier
        member.distance_earlier = FeatureDistance(earlier.channels, count)
    load_weights(ensemble, path / WEIGHTS, repeated=_repeated(config))
    return config, ensemble.eval()


def share_networks(ensemble: Ensemble, names: Sequence[str]) -> None:
    """Let networks of the first member serve all members.

    Args:
        ensemble: changed in place.
        names: of the networks.
    """
    first, *others = ensemble.members
    for member in others:
        for name in names:
            member.networks[name] = first.networks[name]


def round_networks(ensemble: Ensemble) -> None:
    """Round the networks' weights to 16 bits, as a bundle stores them with ``half``; they stay 32-bit numbers.

    Args:
        ensemble: changed in place.

    Raises:
        ConfigError: a weight is too large for 16 bits.
    """
    for member in ensemble.members:
        member.networks.half().float()
    for name, value in ensemble.state_dict().items():
        if not bool(value.isfinite().all()):
            raise ConfigError(f"weights {name}: are too large for 16 bits; make the bundle without half")


def _repeated(config: BundleConfig) -> dict[str, list[str]]:
    """Prefixes under which a shared network's weights are in an ensemble again, by the prefix of the first member's."""
    return {
        f"members.0.networks.{name}.": [f"members.{number}.networks.{name}." for number in range(1, config.members)]
        for name in config.shared
    }


def _stored(ensemble: Ensemble, config: BundleConfig, *, half: bool) -> dict[str, Tensor]:
    """The weights as they are stored: of a shared network once, of networks in 16 bits with ``half``."""
    left_out = tuple(prefix for again in _repeated(config).values() for prefix in again)
    state = {name: value for name, value in ensemble.state_dict().items() if not name.startswith(left_out)}
    halved = {name for name, value in state.items() if half and ".networks." in name and value.is_floating_point()}
    return {name: (value.half() if name in halved else value).contiguous() for name, value in state.items()}


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


def load_weights(network: nn.Module, path: Path, *, repeated: Mapping[str, Sequence[str]] | None = None) -> None:
    """Load a network's safetensors file, every key of it; weights in 16 bits become the network's own type.

    Args:
        network: filled in place.
        path: of the file.
        repeated: prefixes under which keys are in the network again, by the prefix they have in the file.

    Raises:
        RunError: missing, unreadable, or of another network.
    """
    try:
        state = load_file(path)
        again = {
            prefix + name.removeprefix(first): value
            for first, prefixes in (repeated or {}).items()
            for name, value in state.items()
            if name.startswith(first)
            for prefix in prefixes
        }
        network.load_state_dict({**state, **again})
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}); make it anew") from None
    except RuntimeError as error:
        raise RunError(f"{path}: holds another network's weights ({' '.join(str(error).split())[:120]})") from None
