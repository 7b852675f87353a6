"""Load pretrained weights from a safetensors file into a library's network."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from selcn.errors import ConfigError

IMAGENET = "imagenet"


def load_pretrained(network: nn.Module, path: Path | str, *, head: Iterable[str]) -> None:
    """Load a safetensors file that uses the network's own keys; any float type is cast.

    Args:
        network: modified in place, except for the modules of ``head``.
        path: of the file.
        head: dotted names of the classifying modules; their keys are neither read nor required.

    Raises:
        ConfigError: no such file, not a safetensors file, or keys or shapes that are not the network's.
    """
    prefixes = tuple(f"{name}." for name in head)
    found = {key: value for key, value in _read(Path(path)).items() if not key.startswith(prefixes)}
    wanted = {key: value for key, value in network.state_dict().items() if not key.startswith(prefixes)}
    wrong = differences({k: v.shape for k, v in found.items()}, {k: v.shape for k, v in wanted.items()})
    if wrong:
        raise ConfigError(f"weights {path} do not fit {type(network).__name__}: {wrong}; take a file with its own keys")
    network.load_state_dict(found, strict=False)


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
