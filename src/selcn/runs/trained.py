"""A run's folder read again: what was configured, its data, and its networks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from selcn.config import RunConfig, Variant, load_config
from selcn.data.catalog import read_catalog
from selcn.data.splits.split import Split, read_split
from selcn.data.store.store import Store, open_store
from selcn.errors import ConfigError, RunError
from selcn.runs.members import Members


@dataclass(frozen=True, eq=False)
class Trained:
    """A run that has its data, and some or all of its networks; made by `open_trained`.

    Attributes:
        folder: of the run.
        config: what was run.
        table: the catalog.
        split: its parts.
    """

    folder: Path
    config: RunConfig
    table: pd.DataFrame
    split: Split

    @cached_property
    def store(self) -> Store:
        """Prepared pictures and true masks."""
        return open_store(self.config.prepare.store or self.folder / "store" / "arrays", self.table)

    @cached_property
    def members(self) -> Members:
        """The networks by fold."""
        return Members(self.config, self.folder, self.split.folds)

    def variant(self, name: str | None) -> Variant:
        """The lesion classifier of a name; None for the one that is deployed.

        Raises:
            ConfigError: the run has none of that name.
        """
        if name is None:
            return self.members.deployed()
        named = {variant.name: variant for variant in self.config.classification.variants}
        if name not in named:
            raise ConfigError(f"{self.folder}: has no variant {name}; it has {', '.join(named)}")
        return named[name]


def open_trained(folder: Path) -> Trained:
    """Read a run's folder.

    Raises:
        RunError: no run, or it has no data yet.
        DataError: its catalog or split is wrong.
    """
    recorded = folder / "config.yaml"
    if not recorded.is_file():
        raise RunError(f"{folder}: not a run (no config.yaml); give the folder made by `selcn run`")
    catalog, split = folder / "data" / "catalog.csv", folder / "split" / "split.json"
    if not (catalog.is_file() and split.is_file()):
        raise RunError(f"{folder}: has no data yet; begin with `selcn run {recorded} --out {folder}`")
    table = read_catalog(catalog)
    return Trained(folder, load_config(recorded), table, read_split(split, table))
