"""Errors that a user can correct, each in one line: what is wrong, where, and the remedy."""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType


class SelcnError(Exception):
    """Base of all mistakes that a user can correct; the command line prints the line and exits with 2."""


class ConfigError(SelcnError):
    """A configuration file, key or option is wrong."""


class DataError(SelcnError):
    """A catalog, split, image, mask or prediction file is wrong."""


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
        missing = error.name or module
        raise ConfigError(f"{purpose} needs an extra ({missing} is missing); `pip install 'selcn[{extra}]'`") from None
