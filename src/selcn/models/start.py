"""Start a training from another network's weights: what fits is kept, head and fusion are new where they differ."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.models.weights import differences

REPLACEABLE = ("fuse", "head", "metadata", "mirror", "standardise")
"""Modules of a classifier that are new where classes, read networks, metadata or measures differ; all else must be the
same."""


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        text: what the configuration says, for messages.
        file: of safetensors.
        prefix: of the network's keys in the file.
        spec: of the network that the weights are of; None where that is not known.
    """

    text: str
    file: Path
    prefix: str = ""
    spec: SegmenterSpec | ClassifierSpec | None = None


def kept_and_new(network: nn.Module, spec: SegmenterSpec | ClassifierSpec, start: Start) -> tuple[list[str], list[str]]:
    """Names of the modules that keep the weights, and of those that stay as they were initialised.

    Args:
        network: built from ``spec``.
        spec: what is to be trained.
        start: weights to start from.

    Raises:
        ConfigError: the file cannot be read, or is of another architecture or backbone.
    """
    found, wanted = _shapes(start), {key: tuple(value.shape) for key, value in network.state_dict().items()}
    fixed = [{k: v for k, v in one.items() if _module(k) not in REPLACEABLE} for one in (found, wanted)]
    wrong = _other_names(spec, start.spec) or differences(*fixed)
    if wrong:
        raise ConfigError(f"init {start.text}: holds weights of another network ({wrong}); start from one like this")
    kept: list[str] = []
    new: list[str] = []
    for module in dict.fromkeys(map(_module, wanted)):
        own, other = ({k: v for k, v in one.items() if _module(k) == module} for one in (wanted, found))
        (kept if own == other and not _differs(module, spec, start.spec) else new).append(module)
    return kept, new


def load_start(network: nn.Module, spec: SegmenterSpec | ClassifierSpec, start: Start) -> None:
    """Load what is kept, in place.

    Args:
        network: built from ``spec``.
        spec: what is to be trained.
        start: weights to start from.

    Raises:
        ConfigError: see `kept_and_new`.
    """
    kept, _ = kept_and_new(network, spec, start)
    with safe_open(start.file, "pt") as file:
        weights = {key: file.get_tensor(start.prefix + key) for key in network.state_dict() if _module(key) in kept}
    network.load_state_dict(weights, strict=False)


def _module(key: str) -> str:
    return key.partition(".")[0]


def _shapes(start: Start) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(start.file, "pt") as file:
            keys = [key for key in file.keys() if key.startswith(start.prefix)]  # noqa: SIM118 - not a dictionary
            return {key.removeprefix(start.prefix): tuple(file.get_slice(key).get_shape()) for key in keys}
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"init {start.text}: {start.file} cannot be read ({error}); give BUNDLE#NETWORK, RUN/networks/NETWORK or a "
            "network.safetensors file of a run"
        ) from None


def _other_names(spec: SegmenterSpec | ClassifierSpec, other: SegmenterSpec | ClassifierSpec | None) -> str:
    """Names of architectures that differ although their keys may be the same."""
    keys = ("task", "architecture", "encoder", "backbone")
    pairs = ((getattr(other, key, None), getattr(spec, key, None)) for key in keys if other)
    return ", ".join(f"{theirs}, not {own}" for theirs, own in pairs if theirs != own)


def _differs(module: str, spec: SegmenterSpec | ClassifierSpec, other: SegmenterSpec | ClassifierSpec | None) -> bool:
    """Whether a module means something else although its shapes may be the same."""
    if not (isinstance(spec, ClassifierSpec) and isinstance(other, ClassifierSpec)):
        return False
    if module in ("head", "metadata") and spec.labels.names != other.labels.names:
        return True
    if module == "metadata":
        return spec.metadata != other.metadata
    return module == "fuse" and list(spec.reads.items()) != list(other.reads.items())
