"""A user's mistake, said in one line: what is wrong, where, and what to do."""


class SelcnError(Exception):
    """Base of all mistakes a user can mend; the command line prints it and exits with 2."""


class ConfigError(SelcnError):
    """A configuration file, key or option is wrong."""


class DataError(SelcnError):
    """A catalog, split, image, mask or prediction file is wrong."""


class RunError(SelcnError):
    """A run folder or a bundle is missing something, or belongs to something else."""
