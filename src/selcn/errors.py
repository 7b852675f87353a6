"""A user's mistake, said in one line: what is wrong, where, and what to do."""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType


class SelcnError(Exception):
    """Base of all mistakes a user can mend; the command line prints it and exits with 2."""


class ConfigError(SelcnError):
    """A configuration file, key or option is wrong."""


class DataError(SelcnError):
    """A catalog, split, image, mask or prediction file is wrong."""


class RunError(SelcnError):
    """A run folder or a bundle is missing something, or belongs to something else."""


class DivergedError(RunError):
    """A training lost its numbers."""


def listed(faults: Sequence[str], most: int = 5) -> str:
    """Several faults in one line: the first few, and how many more there are."""
    more = f" | and {len(faults) - most} more" if len(faults) > most else ""
    return " | ".join(faults[:most]) + more


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: its dotted name.
        extra: of selcn, which installs it.
        purpose: what it is needed for, in the error.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise ConfigError(f"{purpose} needs an extra ({missing} is missing); `pip install 'selcn[{extra}]'`") from None
