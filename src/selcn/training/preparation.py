"""The first steps of a run: catalog, split and store, made once and read ever after."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from selcn.config import CatalogSource, Ham10000Source, PhantomSource, RunConfig
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.phantom import write_phantom
from selcn.data.sources import draw_lesions, index_ham10000
from selcn.data.splits import Split, grouped_split, read_split, write_split
from selcn.data.store import Store, build_store, open_store, verify_store
from selcn.errors import ConfigError
from selcn.training.steps import Report, Steps


class Preparation:
    """What all stages share.

    Args:
        config: what is run.
        steps: of the run's folder.
    """

    def __init__(self, config: RunConfig, steps: Steps) -> None:
        self.config, self.steps = config, steps

    @cached_property
    def table(self) -> pd.DataFrame:
        """The catalog."""
        return read_catalog(self.steps.do("data", self._make_catalog) / "catalog.csv")

    @cached_property
    def split(self) -> Split:
        """The split, made once and read ever after."""
        section, table = self.config.split, self.table

        def action(work: Path, _: Report) -> None:
            if section.path:
                split = read_split(section.path, table)
            else:
                split = grouped_split(table, folds=section.folds, test=section.test, seed=section.seed)
            write_split(split, table, work / "split.json")

        return read_split(self.steps.do("split", action) / "split.json", table)

    @cached_property
    def store(self) -> Store:
        """Prepared images and true masks."""
        section, table = self.config.prepare, self.table
        if section.store:
            return self._foreign_store(section.store)

        def action(work: Path, report: Report) -> None:
            build_store(table, work / "arrays", size=section.size, hair=section.hair, on_progress=report)

        return open_store(self.steps.do("store", action) / "arrays", table)

    def _foreign_store(self, path: Path) -> Store:
        verify_store(path)
        store, section = open_store(path, self.table), self.config.prepare
        if (store.size, store.hair) != (section.size, section.hair):
            raise ConfigError(
                f"{path}: holds {store.size[0]}x{store.size[1]} pictures with hair {store.hair}; set prepare.size and "
                "prepare.hair to the same, since new pictures are prepared by them"
            )
        return store

    def _make_catalog(self, work: Path, report: Report) -> None:
        match self.config.data:
            case PhantomSource() as source:
                size = self.config.prepare.size
                path = write_phantom(
                    work / "phantom", images=source.images, seed=source.seed, size=size, on_progress=report
                )
                table = read_catalog(path)
            case Ham10000Source() as source:
                table = index_ham10000(source.paths, symmetry=source.symmetry)
                if source.lesions:
                    table = draw_lesions(table, source.lesions, source.seed)
            case CatalogSource() as source:
                table = read_catalog(source.path)
        write_catalog(table, work / "catalog.csv")
