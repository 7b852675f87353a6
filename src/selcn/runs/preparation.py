"""The first steps of a run: catalog, split and store, made once and read ever after."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.config import CatalogSource, Ham10000Source, PhantomSource, RunConfig
from selcn.data.catalog import catalog_hash, read_catalog, write_catalog
from selcn.data.phantom import write_phantom
from selcn.data.sources import index_ham10000
from selcn.data.splits.protocols import make_split
from selcn.data.splits.split import Split, leaking_images, read_split, write_split
from selcn.data.store.build import build_store
from selcn.data.store.store import Store, open_store, verify_store
from selcn.data.subset import draw_lesions
from selcn.errors import ConfigError, RunError
from selcn.labels import TEST
from selcn.runs.steps import Report, Steps


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
        table = read_catalog(self.steps.do("data", self._make_catalog) / "catalog.csv")
        source = self.config.data
        if isinstance(source, CatalogSource) and source.path.exists():
            self._refuse_other(catalog_hash(read_catalog(source.path)), catalog_hash(table), source.path)
        return table

    @cached_property
    def split(self) -> Split:
        """The split, made once and read ever after."""
        section, table = self.config.split, self.table

        def action(work: Path, report: Report) -> dict[str, Any]:
            split = read_split(section.path, table) if section.path else make_split(table, section, on_progress=report)
            write_split(split, table, work / "split.json")
            leaking = leaking_images(split, table).get(TEST, 0)
            return {"duplicates kept together": len(split.duplicates), "test images that leak": leaking}

        split = read_split(self.steps.do("split", action) / "split.json", table)
        if section.path and section.path.exists():
            self._refuse_other(read_split(section.path, table).fingerprint, split.fingerprint, section.path)
        return split

    @cached_property
    def store(self) -> Store:
        """Prepared images and true masks."""
        section, table = self.config.prepare, self.table
        if section.store:
            return self._foreign_store(section.store)

        def action(work: Path, report: Report) -> None:
            build_store(table, work / "arrays", size=section.size, hair=section.hair, on_progress=report)

        return open_store(self.steps.do("store", action, resumable=True) / "arrays", table)

    def _refuse_other(self, given: str, recorded: str, path: Path) -> None:
        if given != recorded:
            raise RunError(
                f"{path}: was changed since {self.steps.run} began with it; put it back or choose another --out"
            )

    def _foreign_store(self, path: Path) -> Store:
        verify_store(path)
        store, section = open_store(path, self.table), self.config.prepare
        if (store.size, store.hair) != (section.size, section.hair):
            raise ConfigError(
                f"{path}: holds {store.size[0]}x{store.size[1]} pictures with hair {store.hair}; set prepare.size and "
                "prepare.hair to the same, since new pictures are prepared by them"
            )
        return store

    def _make_catalog(self, work: Path, report: Report) -> dict[str, Any]:
        match self.config.data:
            case PhantomSource() as source:
                size = self.config.prepare.size
                path = write_phantom(
                    work / "phantom", images=source.images, seed=source.seed, size=size, on_progress=report
                )
                table = read_catalog(path)
            case Ham10000Source() as source:
                table = index_ham10000(source.paths, symmetry=source.symmetry).table
                if source.lesions:
                    table = draw_lesions(table, source.lesions, source.seed)
            case CatalogSource() as source:
                table = read_catalog(source.path)
        write_catalog(table, work / "catalog.csv")
        unknown = {f"without {name}": int((table[name] == "").sum()) for name in ("diagnosis", "symmetry")}
        return {"images": len(table), **unknown, "without mask": int((table["mask_path"] == "").sum())}
