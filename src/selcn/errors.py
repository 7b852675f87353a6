"""Errors that a user can correct, each in one line: what is wrong, where, and the remedy."""

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_ADDRESS = re.compile(r"\b(s3|gs):/(?=[^/])")  # of object storage, as a path: one slash is missing


class SelcnError(Exception):
    """Base of all mistakes that a user can correct; the command line prints the line and exits with 2."""

    def __str__(self) -> str:
        return _ADDRESS.sub(r"\1://", super().__str__())


class ConfigError(SelcnError):
    """A configuration file, key or option is wrong."""


class DataError(SelcnError):
    """A catalog, split, image, mask or prediction file is wrong."""


class PartialResultError(DataError):
    """Files were left out of a result that is complete otherwise."""


class StorageError(SelcnError):
    """Object storage cannot be reached, refuses, or does not hold what it should; a later attempt may succeed."""


class RunError(SelcnError):
    """A run folder or a bundle is incomplete, or belongs to another configuration."""


class DivergedError(RunError):
    """A training diverged: its loss became NaN or infinite."""


def listed(faults: Sequence[str], most: int = 5) -> str:
    """Several faults in one line: the first few, and how many more there are.

    Args:
        faults: one phrase each.
        most: how many to write out.
    """
    more = f" | and {len(faults) - most} more" if len(faults) > most else ""
    return " | ".join(faults[:most]) + more


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: its dotted name.
        extra: name of selcn's extra that installs it.
        purpose: what needs the package, as the subject of the error message.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise _no_extra(purpose, error.name or module, extra) from None


def check_extra(extra: str, modules: Sequence[str], purpose: str) -> None:
    """Refuse what needs an extra that is not installed, without importing any of it.

    Args:
        extra: its name.
        modules: top-level modules that it installs.
        purpose: what needs them, as the subject of the error message.

    Raises:
        ConfigError: one of them is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise _no_extra(purpose, module, extra)


TORCH = frozenset({"safetensors", "segmentation_models_pytorch", "timm", "torch", "torchvision"})
"""Modules of the extra `torch`."""


def missing_torch(error: ModuleNotFoundError) -> ConfigError:
    """The mistake behind a failed import of PyTorch or its companions.

    Args:
        error: of the import.

    Raises:
        ModuleNotFoundError: another module is missing, which is a fault of selcn.
    """
    if error.name not in TORCH:
        raise error
    return _no_extra("this command", error.name, "torch")


def _no_extra(purpose: str, module: str, extra: str) -> ConfigError:
    return ConfigError(f"{purpose} needs an extra ({module} is missing); `pip install 'selcn[{extra}]'`")
