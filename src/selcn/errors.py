"""A user's mistake, said in one line: what is wrong, where, and what to do."""

from collections.abc import Sequence


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
