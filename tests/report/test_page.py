"""The page says what the run's files say, to every digit shown, and needs nothing outside itself."""

import base64
import hashlib
import html
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from selcn.data.catalog import read_catalog, write_catalog
from selcn.errors import RunError
from selcn.evaluation import Estimate, confusion, read_predictions, verdict
from selcn.evaluation.registry import headline_metrics
from selcn.labels import Diagnosis, Symmetry
from selcn.report import write_report
from selcn.report.wording import spoken

VARIANTS = ["standalone-none", "se-lcn-none-none"]


@dataclass
class Table:
    """A table's cells by row header, in the order of its column headers."""

    caption: str = ""
    columns: list[str] = field(default_factory=list)
    rows: dict[str, list[str]] = field(default_factory=dict)


class Page(HTMLParser):
    """What a reader of the page finds: tables, texts, and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.cell: list[str] = []
        self.feed(text)

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
        return " ".join(" ".join(self.words).split())

    def table(self, caption: str) -> Table:
        (found,) = (table for table in self.tables if table.caption.startswith(caption))
        return found


@pytest.fixture(scope="module")
def source(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "new" / "report.html"
    write_report(whole_run, out)
    assert list(out.parent.iterdir()) == [out]
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def shown(row: pd.Series, *, signed: bool = False) -> str:
    """A row of an evaluation file as the page should write it."""
    value, low, high = (f"{number:{'+' * signed}z.3f}" for number in row[["value", "low", "high"]])
    return "undefined no interval" if math.isnan(row["value"]) else f"{value} {low} to {high}"


def assert_table_shows(table: Table, row: str, figures: pd.DataFrame, *, signed: bool = False) -> None:
    assert table.columns == [spoken(metric) for metric in figures["metric"]]
    assert table.rows[row] == [shown(figure, signed=signed) for _, figure in figures.iterrows()]
    assert f"{figures['images'].iloc[0]} images of {figures['groups'].iloc[0]} lesions" in table.caption


@pytest.mark.parametrize("part", ["test", "validation"])
def test_every_figure_is_that_of_the_evaluation_files(page: Page, whole_run: Path, part: str) -> None:
    expected = [
        *(("Lesion classifiers", name, name, False) for name in VARIANTS),
        ("Symmetry networks", "symmetry-none", "symmetry-none", False),
        ("Segmentation", "segmentation", "segmentation", False),
        ("Paired differences", "comparison", "se-lcn-none-none − standalone-none", True),
    ]
    for title, file, row, signed in expected:
        figures = pd.read_csv(whole_run / "evaluation" / f"{file}.csv")
        figures = figures[figures["fold_part"] == part].set_index("metric", drop=False)
        figures = figures.loc[headline_metrics(figures["metric"])]
        assert_table_shows(page.table(f"{title}, {part}"), row, figures, signed=signed)


def test_the_folds_and_what_is_over_all_of_them_are_shown(page: Page, whole_run: Path) -> None:
    figures = pd.read_csv(whole_run / "evaluation" / "cross_validation.csv")
    chosen = (figures["metric"] == "balanced_accuracy") & (figures["fold_part"] == "validation")
    row = figures[chosen & (figures["name"] == "standalone-none")].iloc[0]
    table = page.table("Folds: balanced accuracy in validation")
    assert table.columns == ["fold 0", "fold 1", "mean", "standard deviation", "pooled"]
    expected = [row[name] for name in ("fold-0", "fold-1", "mean", "sd", "pooled")]
    assert table.rows["standalone-none"] == [f"{value:.3f}" for value in expected]


def test_headline_gives_the_deployed_variant_its_difference_and_the_verdict(page: Page, whole_run: Path) -> None:
    def figure(file: str, metric: str) -> pd.Series:
        figures = pd.read_csv(whole_run / "evaluation" / f"{file}.csv")
        return figures[(figures["fold_part"] == "test") & (figures["metric"] == metric)].iloc[0]

    difference = figure("comparison", "balanced_accuracy")
    estimate = Estimate(difference["value"], difference["low"], difference["high"])
    headline = page.text[page.text.index("Research tool") : page.text.index("Lesion classifiers, test")]
    for name, metric in (("se-lcn-none-none", "balanced_accuracy"), ("segmentation", "dice")):
        row = figure(name, metric)
        assert f"{row['value']:.3f} {spoken(metric)}, 95 % interval {row['low']:.3f} to {row['high']:.3f}" in headline
    assert f"{difference['value']:+.3f}" in headline
    assert verdict(estimate, "balanced_accuracy", "standalone-none", "se-lcn-none-none") in headline
    assert "guessing scores 0.143" in headline
    assert "guessing scores 0.500" in headline


@pytest.mark.parametrize("name", [*VARIANTS, "symmetry-none"])
def test_confusion_gives_counts_and_shares_of_rows(page: Page, whole_run: Path, name: str) -> None:
    counts = confusion(read_predictions(whole_run / "predictions" / f"{name}.csv"), "test")
    table = page.table(f"{name}, test")
    assert table.columns == list(counts.columns)
    for truth, row in counts.iterrows():
        assert table.rows[str(truth)] == [f"{count} {100 * count / max(row.sum(), 1):.0f} %" for count in row]


def test_versions_are_those_of_the_run(page: Page) -> None:
    assert "Run with selcn 0.9.8, torch 7.6.5." in page.text


def test_split_and_steps_are_listed(page: Page, whole_run: Path) -> None:
    counts = page.table("The split")
    assert counts.columns == ["images", "lesions", *Diagnosis.names(), *Symmetry.names()]
    assert list(counts.rows) == ["fold 0", "fold 1", "test"]
    assert counts.rows["test"] == ["8", "7", "2", "1", "1", "1", "1", "1", "1", "2", "2", "2"]
    steps = page.tables[-1].rows
    assert steps["classification / se-lcn-none-none / fold-0"] == ["10.0 s", "3", "0.500", "val_loss"]
    assert steps["evaluation"] == ["2 h 1 min", "", "", ""]
    assert len(steps) == len(list(whole_run.rglob("step.json")))
    assert "(6 h 5 min in all)" in page.text  # 3 steps of 7,260 s, 8 of 10 s, 4 of 2.5 s, 1 of 0.5 s


def test_each_test_image_of_another_lesion_is_shown_with_its_truth(page: Page, markup: str) -> None:
    titles = re.findall(r"(test-\d|<b>bold & \"quoted\") (?:among|drawn)", page.text)
    assert sorted(title.replace("test-0", "test-1") for title in titles) == sorted(
        [markup, "test-1", "test-2", *(f"test-{number}" for number in range(4, 8))]
    )
    truths = re.findall(r"Diagnosis\s+said \w+ 0\.\d\d, truth (\w+)", page.text)
    assert sorted(truths) == sorted(Diagnosis.names())
    assert page.text.count("truth unknown") == 2  # test-6 and test-7 have no symmetry


def test_nothing_outside_the_page_is_asked_for(page: Page, source: str) -> None:
    links = [(tag, name, value) for tag, name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert all(value.startswith(("#", "data:text/csv;base64,")) for tag, _, value in links if tag == "a")
    assert all(value.startswith("data:") for tag, _, value in links if tag != "a")
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"script", "iframe", "object"})
    assert not re.search(r"@import|url\(|https?:|\son\w+=", source)
    # The one script is the one that the page's own policy allows.
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in source
    assert len(source) < 5_000_000


def test_links_within_the_page_lead_somewhere(page: Page) -> None:
    places = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for _, name, value in page.attributes if name == "href" and value[0] == "#"} <= places


def test_each_chart_and_table_of_figures_offers_its_numbers(page: Page, whole_run: Path) -> None:
    names = [value for _, name, value in page.attributes if name == "download"]
    assert len(set(names)) >= 12
    uris = [value for _, name, value in page.attributes if name == "href" and value.startswith("data:text/csv")]
    tables = {
        name: pd.read_csv(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        for name, uri in zip(names, uris, strict=True)
    }
    saliency = tables["saliency-symmetry-lesion.csv"]
    recorded = pd.read_csv(whole_run / "evaluation" / "saliency.csv")
    recorded = recorded[(recorded["head"] == "symmetry") & (recorded["fold_part"] == "test")]
    assert saliency["value"].to_numpy() == pytest.approx(recorded["value"].to_numpy(), rel=1e-5)
    assert set(tables["roc-se-lcn-none-none.csv"]["class"]) == {*Diagnosis.names(), "malignant"}


def test_saliency_is_told_beside_what_it_must_be_better_than(page: Page, whole_run: Path) -> None:
    table = page.table("Saliency of diagnosis against the lesion, test")
    figures = pd.read_csv(whole_run / "evaluation" / "saliency.csv").query("head == 'diagnosis'")
    for kind in ("network", "chance"):
        rows = figures[figures["saliency"] == kind]
        assert table.rows[kind] == [shown(row) for _, row in rows.iterrows()]
    difference = figures[(figures["saliency"] == "network - chance") & (figures["metric"] == "energy")].iloc[0]
    assert f"chance {difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})" in page.text
    assert re.search(r"Symmetry saliency, best .* of the map lies on the lesion", page.text)


def test_the_leak_check_counts_what_lies_in_several_parts(page: Page) -> None:
    assert re.search(r"lies in another part too: fold 0 0 *, fold 1 0 *, test 0 *\.", page.text)


def test_every_picture_has_a_text_and_is_one(page: Page) -> None:
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    texts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(texts) == len(pictures) >= 7 * 3 + 6
    assert all(texts)
    for uri in pictures:
        kind, data = uri.split(";base64,")
        start = {"data:image/jpeg": b"\xff\xd8", "data:image/svg+xml": b"<?xml"}[kind]
        assert base64.b64decode(data).startswith(start)


def test_names_from_the_data_are_escaped(page: Page, source: str, markup: str) -> None:
    assert "<b>" not in source
    assert html.escape(markup).replace("&quot;", "&#34;") in source
    assert f"{markup} with predicted and true outline" in [value for _, name, value in page.attributes if name == "alt"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["phantom"], "All data are synthetic. Every one of the 24 images"),
        (["phantom", "clinic"], "12 of the 24 images are synthetic"),
        (["clinic"], None),
    ],
)
def test_synthetic_data_are_said_to_be_so_before_any_figure(run: Path, sources: list[str], said: str | None) -> None:
    catalog = run / "data" / "catalog.csv"
    table = read_catalog(catalog)
    write_catalog(table.assign(source=[sources[row % len(sources)] for row in range(len(table))]), catalog)
    write_report(run, run / "report.html")
    text = Page((run / "report.html").read_text(encoding="utf-8")).text
    before, _, _ = text.partition("guessing scores")
    assert said in before if said else "synthetic" not in text


def test_the_same_run_gives_the_same_bytes(whole_run: Path, source: str, tmp_path: Path) -> None:
    write_report(whole_run, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == source


@pytest.mark.parametrize("step", ["evaluation", "classification/se-lcn-none-none/fold-1", "split"])
def test_an_unfinished_run_is_refused_by_the_missing_step(run: Path, step: str) -> None:
    (run / step / "step.json").unlink()
    with pytest.raises(RunError, match=f"step {step} has not finished; go on with `selcn run .*config.yaml --out"):
        write_report(run, run / "report.html")
    assert not list(run.glob("*report.html*"))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a run .* give the folder made by `selcn run`"):
        write_report(tmp_path, tmp_path / "report.html")


def test_a_run_without_a_test_part_or_a_comparison_says_so(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", test=False)
    (run / "evaluation" / "comparison.csv").unlink()
    write_report(run, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "The run has no test part" in text
    assert "Not compared" in text
    assert "validation: 16 images of 14 lesions; guessing scores 0.143" in text
