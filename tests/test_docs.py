"""What the documents say is what the repository holds."""

import doctest
import json
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import arms
import experiments
import leaking
import peer_section
import selcn
import shipped
import size_plot
import speed
import transfer
from selcn.cli import app
from selcn.config import RunConfig, load_config
from selcn.data.catalog import COLUMNS, read_catalog, write_catalog
from selcn.data.phantom import write_phantom
from selcn.data.samples import dermoscopy_samples
from selcn.data.splits.split import EXCLUDED
from selcn.data.store.store import INDEX
from selcn.data.store.store import MANIFEST as STORE_MANIFEST
from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.predictions import BOUNDARY_SCORES, PREDICTED, SCORES, read_predictions
from selcn.evaluation.seeds import compare_seeds
from selcn.inference.bundle import BundleConfig
from selcn.io.tables import read_table
from selcn.labels import CALIBRATION, HAM10000, TEST
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run
from selcn.runs.tuning.space import read_space

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["results", "data", "configuration"])
def test_a_page_of_tables_is_made_from_its_files(name: str) -> None:
    make = runpy.run_path(str(ROOT / "docs" / name / "make.py"))
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == make["page"]()


def test_every_key_of_a_configuration_has_a_meaning() -> None:
    rows = re.findall(r"^\| (`.*) \|(.*)\|$", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 100
    assert [key for key, meaning in rows if len(meaning.strip()) < 5] == []


def test_the_other_pages_and_the_headlines_are_made_from_their_files() -> None:
    for made in (speed, experiments):
        assert made.PAGE.read_text(encoding="utf-8") == made.page()
    for file in (shipped.README, shipped.CARD):
        assert file.read_text(encoding="utf-8") == shipped.with_headlines(file)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_drawing_of_the_method_is_made_by_its_script(theme: str) -> None:
    method = runpy.run_path(str(ROOT / "docs" / "images" / "method.py"))
    drawn = (ROOT / "docs" / "images" / f"method-{theme}.svg").read_text(encoding="utf-8")
    assert drawn == method["draw"](method["THEMES"][theme])


def test_the_plot_of_cost_against_size_is_made_from_the_measures() -> None:
    assert size_plot.PLOT.read_text(encoding="utf-8") == size_plot.svg()


@pytest.fixture
def demo(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, whose runs/demo is a finished run."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("name", [name for name in selcn.__all__ if name != "__version__"])
def test_what_a_user_needs_is_shown_by_examples_that_run(name: str) -> None:
    shown = getattr(selcn, name)
    examples = doctest.DocTestFinder(recurse=False).find(shown, name, sys.modules[shown.__module__])
    results = [doctest.DocTestRunner().run(example) for example in examples]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


def test_every_block_of_the_notebook_page_runs(demo: Path) -> None:
    text = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) >= 4
    assert (demo / "roc.svg").stat().st_size > 1000


def test_the_python_of_the_readme_runs(demo: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    shutil.copy(dermoscopy_samples()[0].path, demo / "lesion.jpg")
    names: dict[str, Any] = {}
    exec(block, names)
    answer = names["prediction"]["diagnosis"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.prediction in answer.probabilities
    exec("from selcn import draw_overlay, grouped_split, grad_cam_pp, evaluate_classification, compare", {})


def test_the_python_of_the_page_of_reporting_runs(demo: Path) -> None:
    (block,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8"), re.DOTALL
    )
    exec(block, {})
    assert (demo / "claim.md").stat().st_size > 1000


YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONFIGURATIONS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for number, block in enumerate(YAML.findall(page.read_text(encoding="utf-8")))
]
UNSAID = "task: classification, labels: ham10000, backbone: vit_tiny_patch16_224,"
"""What `...,` stands for in a network of which a page shows a few keys."""


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("block", CONFIGURATIONS)
def test_every_configuration_that_a_page_shows_can_be_loaded(block: str) -> None:
    tree = yaml.safe_load(block.replace("...,", UNSAID))
    if all({"low", "choices"} & set(one) for one in tree.values()):
        Path("space.yaml").write_text(block, encoding="utf-8")
        assert set(read_space(Path("space.yaml"))) == set(tree)
        return
    networks = {key: tree.pop(key) for key in [*tree] if key not in RunConfig.model_fields}
    whole = {"data": {"source": "phantom"}, **tree, "networks": {**tree.get("networks", {}), **networks}}
    Path("shown.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    assert set(load_config(Path("shown.yaml")).networks) == set(whole["networks"])


def test_the_pages_show_configurations() -> None:
    assert len(CONFIGURATIONS) >= 10


@pytest.mark.usefixtures("demo")
def test_every_command_of_the_tour_runs_in_order() -> None:
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        command, _, file = line.partition(" > ")
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
        if file:
            Path(file).write_text(result.stdout, encoding="utf-8")
    assert len(list(Path("tour/predictions/overlays").iterdir())) == len(list(Path("tour/images").iterdir())) == 150
    load_config(Path("tour/my.yaml"))


def test_the_python_of_the_prediction_page_runs(demo: Path) -> None:
    text = (ROOT / "docs" / "prediction.md").read_text(encoding="utf-8")
    _, block = re.findall(r"```python\n(.*?)```", text, re.DOTALL)  # the first is tested in tests/inference
    names: dict[str, Any] = {"picture": sorted((demo / "runs/demo/data/phantom/images").iterdir())[0]}
    exec(block, names)
    assert sum(names["prediction"]["diagnosis"].probabilities.values()) == pytest.approx(1)


def test_the_python_of_the_page_of_failures_runs(demo: Path) -> None:
    run = open_run("runs/demo")
    strange = write_phantom(demo / "odd", images=2, seed=9, size=(64, 48), jobs=1)
    write_catalog(run.table.iloc[run.test_rows[:3]].reset_index(drop=True), Path("usual.csv"))
    write_catalog(read_catalog(strange).assign(lesion_id=["odd 1", "odd 2"], image_id=["a", "b"]), Path("strange.csv"))
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "failures.md").read_text("utf-8"), re.DOTALL):
        exec(block, names)
    assert {"auroc", "warned"} <= set(names["table"].get("metric", ["auroc", "warned"]))
    assert len(names["found"].table.query("corruption == 'hair' and metric == 'accuracy'")) == 6


def test_the_python_of_the_serving_page_runs(
    demo: Path, serve: Callable[..., AbstractContextManager[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serving.md").read_text(encoding="utf-8"), re.DOTALL)
    pictures = sorted((demo / "runs/demo/data/phantom/images").iterdir())[:3]
    with serve(selcn.load("runs/demo/bundle")) as address:
        exec(block, {"address": address, "pictures": pictures})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [path.name for path in pictures]


def test_the_page_of_formats_names_every_key_of_what_a_run_writes(demo: Path) -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: set(re.findall(r"`([^`]+)`", part)) for part in text.split("\n## ")}
    run = RunFolder(demo / "runs" / "demo")
    tree = json.loads(run.split.read_text(encoding="utf-8"))
    assert {*tree, *next(iter(tree["images"].values())), TEST, CALIBRATION, EXCLUDED} <= sections["Split"]
    held = {path.name for path in run.store.iterdir()}
    index, manifest = read_table(run.store / INDEX), json.loads((run.store / STORE_MANIFEST).read_text("utf-8"))
    assert {*held, *index.columns, *manifest} <= sections["Store"]
    table = read_predictions(run.predictions / "diagnosis.csv", HAM10000).table
    keys = {*table.columns} - set(HAM10000.names)
    assert {*keys, PREDICTED, *SCORES, *BOUNDARY_SCORES} <= sections["Predictions"]
    assert set(COLUMNS) <= sections["Catalog"]
    (version,) = get_args(BundleConfig.model_fields["format_version"].annotation)
    assert f"`config.json`, now {version}." in text
    steps = (path for path in run.path.rglob("step.json"))
    assert {"seconds", "host", "machine"} <= set(json.loads(next(steps).read_text("utf-8"))) & sections["Run"]
    files = {name for name in sections["Run"] if re.fullmatch(r"[a-z_]+\.(csv|json|yaml|safetensors)", name)}
    assert len(files) >= 8
    assert [name for name in sorted(files) if not next(run.path.rglob(name), None)] == []


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = text[text.index("src/selcn/") : text.index("## How nothing leaks")]
    package = ROOT / "src" / "selcn"
    whole = {"phantom", "report", "cli"}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        named = next((part for part in inside.parts if part in whole), None) or inside.name
        assert path.name == "__init__.py" or named in tree, f"{inside} is missing from docs/architecture.md"


def test_every_document_that_is_linked_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_nothing_names_a_path_of_one_machine() -> None:
    stored = [path for path in (ROOT / "docs").rglob("*") if path.suffix in {".csv", ".json", ".md", ".yaml"}]
    for path in [*ROOT.glob("*.toml"), ROOT / "constraints.txt", *(ROOT / "configs").glob("*.yaml"), *stored]:
        assert not re.search(r"(?<![\w.])/(home|work|root|tmp)/", path.read_text(encoding="utf-8")), path


def test_the_arithmetic_of_ten_million_images_is_that_of_the_measured_rates() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "ten_million.py"))
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert script["table"]() in page
    assert script["reading"]() in page


@pytest.mark.parametrize("file", sorted(shipped.SCORES.parent.glob("*.parquet")), ids=lambda file: file.stem)
def test_the_scores_of_the_bundle_are_had_again_from_what_it_predicted(file: Path) -> None:
    stored = pd.read_csv(shipped.SCORES).query("file == @file.stem").drop(columns="file").reset_index(drop=True)
    found = evaluate_file(file)
    pd.testing.assert_frame_equal(found, stored[found.columns], rtol=1e-9, check_dtype=False)


@pytest.mark.parametrize("network", ["diagnosis", "symmetry"])
def test_metrics_of_the_members_are_had_again_from_what_they_predicted(network: str) -> None:
    stored = pd.read_csv(transfer.RUN / f"{network}.csv")
    found = evaluate_file(transfer.RUN / f"{network}.parquet")
    pd.testing.assert_frame_equal(found[stored.columns], stored, rtol=1e-9, check_dtype=False)


def test_scores_of_the_arms_and_of_what_leaks_are_had_again_from_what_they_predicted() -> None:
    stored = pd.read_csv(arms.OUT / "metrics.csv").query("arm == @transfer.ARM")
    found = arms.score_arm(transfer.ARM).merge(stored, on=["metric", "fold_part"], suffixes=("", "_stored"))
    assert len(found) == len(stored) == 2 * len(arms.SHOWN)
    columns = ["value", "low", "high"]
    np.testing.assert_allclose(found[columns], found[[f"{one}_stored" for one in columns]], atol=1e-9)
    kept = pd.read_csv(leaking.OUT / "scores.csv").set_index(["of", "network"])
    again = leaking.score(leaking.by_lesion(leaking.OUT / f"{transfer.ARM}.parquet"))
    assert again == pytest.approx(kept.loc[(leaking.LEAKING, transfer.ARM), [*again]].to_dict(), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [("diagnosis-standalone", "diagnosis"), ("diagnosis", "diagnosis-zero")])
def test_differences_of_the_arms_are_had_again_from_what_they_predicted(a: str, b: str) -> None:
    shared = [seed for seed in arms.seeds(a) if seed in arms.seeds(b)]
    sources = ([arms.file(name, seed) for seed in shared] for name in (a, b))
    found = compare_seeds(*sources, labels=HAM10000).set_index(["metric", "fold_part"])
    stored = pd.read_csv(arms.OUT / "comparison.csv").query("a == @a and b == @b").set_index(["metric", "fold_part"])
    for subset in ("test", "validation"):
        row = ("balanced_accuracy", subset)
        for column in ("value", "low", "high", "p"):
            assert found.loc[row, column] == pytest.approx(stored.loc[row, column], abs=1e-9)


@pytest.mark.parametrize(
    ("folder", "a", "b"),
    [(transfer.RUN, "diagnosis-standalone", "diagnosis"), (peer_section.OUT, "linear-probe", peer_section.OURS)],
    ids=["transfer", "peers"],
)
def test_differences_are_had_again_from_what_both_predicted(folder: Path, a: str, b: str) -> None:
    stored = pd.read_csv(folder / "comparison.csv").query("a == @a and b == @b").set_index(["metric", "fold_part"])
    one, other = (
        read_predictions(folder / f"{a}.parquet", HAM10000),
        read_predictions(transfer.RUN / f"{b}.parquet", HAM10000),
    )
    found = compare(*on_shared_images(one, other)).set_index(["metric", "fold_part"])
    row = ("balanced_accuracy", "test")
    for column in ("value", "low", "high", "p"):
        assert found.loc[row, column] == pytest.approx(stored.loc[row, column], abs=1e-9)
