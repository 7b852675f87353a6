"""Finished runs of several graphs, made of the networks of the tiny run, and the reports of them."""

import base64
import io
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selcn.config import RunConfig, dump_config, load_config
from selcn.data.catalog import read_catalog, write_catalog
from selcn.labels import TEST
from selcn.report import write_report, write_versus
from selcn.runs.folder import COMPARISON, CROSS_VALIDATION, SALIENCY_METRICS, RunFolder
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step

LESION, SYMMETRY, DIAGNOSIS = "lesion", "symmetry", "diagnosis"
AXES = {
    "task": "classification",
    "labels": {
        "classes": [{"name": "odd", "aliases": ["asymmetric", "one-axis"]}, {"name": "even", "aliases": ["two-axes"]}],
        "column": "symmetry",
    },
    "backbone": "test_resnet",
    "size": [96, 96],
    "epochs": 1,
    "batch": 8,
}


@dataclass
class Table:
    """A table's cells by row header, in the order of its column headers."""

    caption: str = ""
    columns: list[str] = field(default_factory=list)
    rows: dict[str, list[str]] = field(default_factory=dict)


class Page(HTMLParser):
    """What a reader of a page finds: tables, texts, and every attribute."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tables: list[Table] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.cell: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open.append(tag)
        if tag == "table":
            self.tables.append(Table())
        if tag in ("th", "td", "caption"):
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        text = " ".join("".join(self.cell).split())
        if tag == "caption":
            self.tables[-1].caption = text
        elif tag == "th" and "tbody" not in self.open:
            self.tables[-1].columns.append(text)
        elif tag == "th":
            self.tables[-1].rows[text] = []
        elif tag == "td" and "tbody" in self.open:
            self.tables[-1].rows[list(self.tables[-1].rows)[-1]].append(text)
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.cell.append(data)
        if "style" not in self.open and "script" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def sections(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("section", "id")]

    @property
    def downloads(self) -> dict[str, pd.DataFrame]:
        names = [value for _, name, value in self.attributes if name == "download"]
        uris = [value for _, name, value in self.attributes if name == "href" and value.startswith("data:text/csv")]
        files = [io.BytesIO(base64.b64decode(uri.split(",")[1])) for uri in uris]
        return {name: pd.read_csv(file) for name, file in zip(names, files, strict=True)}

    def table(self, caption: str) -> Table:
        (found,) = [table for table in self.tables if table.caption.startswith(caption)]
        return found

    def figure(self, caption: str) -> int:
        """How many figures have a caption."""
        return len(re.findall(rf"<figcaption>{re.escape(caption)}</figcaption>", self.source))


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Page]:
    """Reads a page."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


def of_networks(run: Path, folder: Path, networks: dict[str, Any], *taken: str, **changed: Any) -> Path:
    """A finished run of other networks on the same split, of which some are taken as they were trained in ``run``."""
    source, target = RunFolder(run), RunFolder(folder)
    for step in (one for name in taken for one in (Step(Kind.OUTPUTS, name), Step(Kind.TRAIN, name))):
        shutil.copytree(source.path / step.path, target.path / step.path)
    tree = load_config(source.config).model_dump(mode="json")
    tree |= {"data": {"source": "catalog", "path": str(source.catalog)}, "split": {"path": str(source.split)}}
    config = RunConfig.model_validate({**tree, "networks": networks, "compare": {}, **changed})
    target.config.write_text(dump_config(config), encoding="utf-8")
    Pipeline(config, folder).run()
    return folder


@pytest.fixture(scope="session")
def lesion_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a segmentation network alone."""
    folder = tmp_path_factory.mktemp("runs") / "lesion"
    return of_networks(tiny_run, folder, networks_of(tiny_run, LESION), LESION)


@pytest.fixture(scope="session")
def symmetry_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a symmetry network alone, on photographs without masks of people whose sex is known."""
    folder = tmp_path_factory.mktemp("runs") / "symmetry"
    table = read_catalog(RunFolder(tiny_run).catalog)
    sexes = [("female", "male", "")[row % 3] for row in range(len(table))]
    table = table.drop(columns="asymmetry_path").assign(mask_path="", source="clinic", sex=sexes)
    write_catalog(table, folder.with_suffix(".csv"))
    data = {"source": "catalog", "path": str(folder.with_suffix(".csv"))}
    return of_networks(tiny_run, folder, networks_of(tiny_run, SYMMETRY), SYMMETRY, data=data)


@pytest.fixture(scope="session")
def four_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cascade of the tiny run with a fourth network, whose classes are its own, and without comparison."""
    networks = networks_of(tiny_run, LESION, SYMMETRY) | {"axes": AXES} | networks_of(tiny_run, DIAGNOSIS)
    return of_networks(tiny_run, tmp_path_factory.mktemp("runs") / "four", networks, LESION, SYMMETRY, DIAGNOSIS)


def networks_of(run: Path, *names: str) -> dict[str, Any]:
    networks = load_config(RunFolder(run).config).model_dump(mode="json")["networks"]
    return {name: networks[name] for name in names}


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run; a file must be replaced, not written into, for its bytes are shared."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run", copy_function=os.link))


@pytest.fixture
def bare_run(run: Path) -> Path:
    """A run without test subset, saliency scores and symmetry labels, with a control, half of it from a clinic."""
    folder = RunFolder(run)
    for path in (*folder.predictions.glob("*.csv"), *folder.evaluation.glob("*.csv")):
        table = pd.read_csv(path, dtype=str)
        column = "fold_part" if "fold_part" in table else "fold"
        table = table[table[column] != TEST]
        path.unlink()
        if path.name == CROSS_VALIDATION:
            table = table[table["name"] != SYMMETRY]
        elif path.name == COMPARISON:
            table = pd.concat([table, table.assign(a="diagnosis-zero")])
        table.to_csv(path, index=False)
    for name in (SYMMETRY, DIAGNOSIS):
        folder.saliency_scores(name).unlink()
    for path in (folder.evaluation / SALIENCY_METRICS, folder.metrics(SYMMETRY), folder.prediction_file(SYMMETRY)):
        path.unlink()
    table = read_catalog(folder.catalog)
    folder.catalog.unlink()
    write_catalog(table.assign(source=["phantom", "clinic"] * (len(table) // 2)), folder.catalog)
    return run


@pytest.fixture(scope="session")
def pages(
    tiny_run: Path, lesion_run: Path, symmetry_run: Path, four_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The pages of all those runs, and of two of them side by side."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {"tiny": tiny_run, "lesion": lesion_run, "symmetry": symmetry_run, "four": four_run}
    for name, one in runs.items():
        write_report(one, folder / name / "report.html")
    write_versus(tiny_run, four_run, folder / "versus.html", resamples=100)
    return {**{name: folder / name / "report.html" for name in runs}, "versus": folder / "versus.html"}
