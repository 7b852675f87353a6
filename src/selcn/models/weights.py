"""Load pretrained weights from a safetensors file into a library's network."""

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping, Set
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from selcn.errors import ConfigError

IMAGENET = "imagenet"
PREFIXES = ("module.", "model.", "backbone.")
"""What DataParallel, Lightning and common training scripts put before the keys of a network."""
_WRAPPED = "model."  # segmentation_models_pytorch puts this before the keys of an encoder from timm
logger = logging.getLogger(__name__)


Conversion = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""From weights by other names or of other shapes to those of a network."""


def load_pretrained(
    network: nn.Module, path: Path | str, *, head: Iterable[str], extra: bool = False, convert: Conversion | None = None
) -> None:
    """Load a plain state dict of timm or torchvision from a safetensors file; any float type is cast.

    Prefixes that training scripts put before the network's own keys (`PREFIXES`) are taken off; what is not used is
    logged.

    Args:
        network: modified in place, except for the modules of ``head``.
        path: of the file.
        head: dotted names of the classifying modules; their keys are neither read nor required.
        extra: whether the file may hold further keys, as that of a whole network does for an encoder.
        convert: applied to the weights without prefixes, such as resampling of position embeddings.

    Raises:
        ConfigError: no such file, not a safetensors file, or keys or shapes that are not the network's.
    """
    modules = tuple(f"{name}." for name in head)
    own = network.state_dict()
    outer = _WRAPPED if all(key.startswith(_WRAPPED) for key in own) else ""
    wanted = {inner: value for key, value in own.items() if not (inner := key.removeprefix(outer)).startswith(modules)}
    given = _read(Path(path))
    named = _without_prefixes(given, wanted.keys())
    named = convert(named) if convert else named
    found = {key: value for key, value in named.items() if not key.startswith(modules) and (key in wanted or not extra)}
    wrong = differences({k: v.shape for k, v in found.items()}, {k: v.shape for k, v in wanted.items()})
    if wrong:
        raise ConfigError(f"weights {path} do not fit {type(network).__name__}: {wrong}; take a file with its own keys")
    if len(found) < len(given):
        unused = [key for key in given if not any(key == one or key.endswith(f".{one}") for one in found)]
        _say_unused(str(path), _some(unused) if unused else "keys of other modules")
    network.load_state_dict({outer + key: value for key, value in found.items()}, strict=False)


def download_or(weights: Path | str | None, name: str, create: Callable[[bool], Any]) -> Any:  # noqa: ANN401
    """A network as ``create`` makes it, told whether to fetch its library's weights.

    Args:
        weights: None, ``"imagenet"`` or a file.
        name: of the network.
        create: makes it, with or without downloaded weights.

    Raises:
        ConfigError: the weights cannot be had.
    """
    if weights != IMAGENET:
        return create(False)
    try:
        return create(True)
    except Exception as error:  # each library has its own kinds for no network and for no such weights
        raise ConfigError(
            f"no ImageNet weights for {name!r} ({type(error).__name__}: {error}); "
            "check the connection, or give a .safetensors file"
        ) from error


def timm_conversion(network: nn.Module) -> Conversion:
    """timm's own conversion of published weights for a network, as it is applied to downloads.

    It resamples position embeddings and tables of relative positions to the network's image size, and knows the keys of
    the original repositories (DINOv2, DINOv3 and others).

    Args:
        network: of timm.
    """
    module = import_module(type(network).__module__)
    filter_weights = getattr(module, "checkpoint_filter_fn", None)

    def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        if filter_weights is None:
            return weights
        try:
            converted: dict[str, Tensor] = filter_weights(weights, network)
        except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            return weights  # of another network; the comparison of keys and shapes says so
        return converted

    return convert


def _without_prefixes(given: dict[str, Tensor], wanted: Set[str]) -> dict[str, Tensor]:
    """The weights by keys without those prefixes, in any order, with which most of the wanted keys are found."""
    best = given
    for prefix in PREFIXES:
        inner = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
        if inner:
            best = max(best, _without_prefixes(inner, wanted), key=lambda one: len(one.keys() & wanted))
    return best


@cache
def _say_unused(path: str, keys: str) -> None:
    """Say once, not for every fold."""
    logger.info("weights %s: not used: %s", path, keys)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name, with the known names that resemble it.

    Args:
        kind: of the name, for example `backbone`.
        name: that is unknown.
        known: all known names.
    """
    close = difflib.get_close_matches(name, list(known), n=3)
    return ConfigError(f"unknown {kind} {name!r}; {'close are ' + ', '.join(close) if close else 'no name is close'}")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ConfigError(f"no weights at {path.resolve()}; give a .safetensors file, {IMAGENET!r} or nothing")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"weights {path} are not a safetensors file ({error}); convert them first") from error


def differences(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """Keys and shapes in which weights differ from those of a network, in words; "" where they are the same.

    Args:
        found: shapes of the weights by key.
        wanted: shapes of the network's own by key.
    """
    shared = found.keys() & wanted.keys()
    kinds = {
        "missing": wanted.keys() - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "misshapen": {key for key in shared if found[key] != wanted[key]},
    }
    return "; ".join(f"{kind} {_some(keys)}" for kind, keys in kinds.items() if keys)


def _some(keys: Iterable[str], at_most: int = 3) -> str:
    first, *rest = sorted(keys)
    shown = [first, *rest[: at_most - 1]]
    more = len(rest) + 1 - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
