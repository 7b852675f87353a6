"""Metadata from the catalog to training, prediction files, bundle, ONNX, command line and HTTP."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from jsonschema_rs import ValidationError, validate
from PIL import Image
from typer.testing import CliRunner

import selcn
from selcn.cli import app
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.datasets import as_floats, gather_images
from selcn.errors import ConfigError, DataError
from selcn.inference.onnx.export import export_bundle
from selcn.models.cascade import Known
from selcn.models.classifier import Classifier
from selcn.runs.bundle_scores import score_bundle
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import Run, open_run
from selcn.saliency.gradcam_pp import autograd_grad_cam_pp, grad_cam_pp
from selcn.serving.given import given_schema

PLAIN = {"task": "classification", "labels": "symmetry-binary", "backbone": "test_resnet", "size": [32, 32]}
SECTION = {**PLAIN, "epochs": 16, "batch": 8, "lr": 1e-2, "metadata": ["age", "sex"], "metadata_dropout": 0.1}
COMPARE = {"symmetry": ["no-metadata", "shuffled-metadata"]}


@pytest.fixture(scope="module")
def run(tiny_run: Path, pipeline_of: Callable[..., Pipeline], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on a catalog whose column `sex` says whether a lesion is symmetric."""
    folder = tmp_path_factory.mktemp("metadata")
    table = read_catalog(tiny_run / "data" / "catalog.csv")
    table = table.assign(sex=table["symmetry"].map(lambda word: "female" if word == "asymmetric" else "male"), age="50")
    write_catalog(table, folder / "catalog.csv")
    pipeline_of(folder / "catalog.csv", folder / "run", {"symmetry": SECTION}, compare=COMPARE).run()
    return open_run(folder / "run")


def accuracy(run: Run, network: str) -> float:
    predicted, truth = run.output(network, "probabilities.npy").argmax(axis=1), run.class_numbers(network)
    return float((predicted == truth)[truth >= 0].mean())


def test_what_metadata_alone_tells_is_learnt_by_those_that_read_it(run: Run) -> None:
    assert accuracy(run, "symmetry") > 0.95
    assert accuracy(run, "symmetry-no-metadata") < 0.9
    assert accuracy(run, "symmetry-shuffled-metadata") < 0.9
    assert run.graph.pairs() == [
        ("symmetry-no-metadata", "symmetry"),
        ("symmetry-shuffled-metadata", "symmetry"),
    ]


@torch.no_grad()
def test_prediction_files_are_of_each_images_own_metadata(run: Run) -> None:
    rows, member = run.fold_rows[1], run.cascade(1, ["symmetry"])
    images = as_floats(gather_images(run.store, rows))
    stored = run.output("symmetry", "probabilities.npy")[rows]
    metadata = run.metadata_of("symmetry", rows)
    assert member(images, Known(metadata=metadata)).outputs["symmetry"].logits.softmax(1).numpy() == pytest.approx(
        stored, abs=1e-5
    )
    assert np.abs(member(images).outputs["symmetry"].logits.softmax(1).numpy() - stored).max() > 0.01


def test_the_closed_form_stays_exact_beside_metadata() -> None:
    torch.manual_seed(0)
    network = Classifier("test_resnet", 3, metadata=["age", "sex"]).double().eval()
    assert network.metadata is not None
    torch.nn.init.normal_(network.metadata.last.weight)
    images, metadata = torch.rand(4, 3, 64, 64, dtype=torch.float64), torch.rand(4, 12, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 0])
    assert (network(images, (), metadata) - network(images)).abs().max() > 0.01

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = network(images, (), metadata)
            return logits

    output = network.trace(images, (), metadata)
    expected = autograd_grad_cam_pp(Fixed(), network.backbone, images, target)
    assert (grad_cam_pp(output.activations, output.weight[target], None) - expected).abs().max() < 1e-9


def test_a_bundle_takes_metadata_from_python_tables_and_http_and_does_without(
    run: Run, tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    bundle = Path(shutil.copytree(run.folder.bundle, tmp_path / "bundle"))
    assert json.loads((bundle / "config.json").read_text())["networks"]["symmetry"]["metadata"] == ["age", "sex"]
    assert max(export_bundle(bundle).values()) < 1e-4
    torch_engine, onnx = selcn.load(bundle), selcn.load(bundle, engine="onnx")
    image = run.table["image_path"].iloc[0]

    def asymmetric(predictor: Any, **metadata: Any) -> float:
        return float(predictor.predict(image, selcn.Given(metadata=metadata))["symmetry"].probabilities["asymmetric"])

    said = {sex: asymmetric(torch_engine, sex=sex, age=50) for sex in ("female", "male")}
    assert said["female"] > 0.8 > 0.2 > said["male"]
    assert asymmetric(torch_engine) == asymmetric(torch_engine, sex="unknown", age=None)
    for metadata in ({}, {"sex": "female"}, {"sex": "male", "age": "80"}):
        assert asymmetric(onnx, **metadata) == pytest.approx(asymmetric(torch_engine, **metadata), abs=1e-4)
    with pytest.raises(DataError, match="given site: no network of bundle run reads it; give age, sex"):
        asymmetric(torch_engine, site="back")
    with pytest.raises(DataError, match="given metadata: age 'old' is not a number of years"):
        asymmetric(torch_engine, age="old")
    pages = io.BytesIO()
    Image.open(image).save(pages, "TIFF", save_all=True, append_images=[Image.open(image)])
    with serve(torch_engine) as address:

        def ask(content: bytes, **metadata: Any) -> list[dict[str, Any]]:
            given = {"a.png": metadata}
            validate(given_schema(torch_engine.config), given)
            files = [("images", ("a.png", content))]
            answer = httpx.post(f"{address}/v1/predict", data={"given": json.dumps(given)}, files=files)
            rows: list[dict[str, Any]] = answer.raise_for_status().json()["predictions"]
            return rows

        one, both = ask(Path(image).read_bytes(), sex="female", age=50), ask(pages.getvalue(), sex="female", age=50)
        (no_age,) = ask(Path(image).read_bytes(), sex="male", age=None)
        (nothing,) = ask(Path(image).read_bytes(), sex=None, age=None)
    for row in one + both:
        assert row["symmetry"]["probabilities"]["asymmetric"] == pytest.approx(said["female"], abs=1e-5)
        assert row["given"] == ["metadata"]
    assert [row.get("frame") for row in both] == [0, 1]
    for row, known in ((no_age, {"sex": "male"}), (nothing, {})):
        assert row["symmetry"]["probabilities"]["asymmetric"] == pytest.approx(
            asymmetric(torch_engine, **known), abs=1e-5
        )
        assert row.get("given") == (["metadata"] if known else None)
    with pytest.raises(ValidationError):
        validate(given_schema(torch_engine.config), {"a.png": {"sex": "unheard of"}})


def test_a_bundle_is_scored_with_the_metadata_of_the_catalog(run: Run, tmp_path: Path) -> None:
    tested, bundle = run.table.iloc[run.test_rows].reset_index(drop=True), run.folder.bundle
    scores = {}
    for name, table in {"whole": tested, "without": tested.assign(sex="", age="unknown")}.items():
        found = score_bundle([selcn.load(bundle)], bundle, table, tmp_path / name, resamples=20).metrics
        scores[name] = found.set_index("metric")["value"]["balanced_accuracy"]
    assert scores["whole"] > 0.95 > scores["without"]


def test_the_command_line_takes_a_published_table(run: Run, tmp_path: Path) -> None:
    images = [str(path) for path in run.table["image_path"].iloc[:3]]
    names = [Path(path).stem for path in images]
    first, second = map(Image.open, images[:2])
    first.save(tmp_path / "both.tif", save_all=True, append_images=[second])
    images.append(str(tmp_path / "both.tif"))
    table = tmp_path / "metadata.csv"

    def write(header: list[str], *rows: list[str]) -> None:
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    def predict(out: str) -> Any:
        command = ["predict", str(run.folder.bundle), *images, "--metadata", str(table), "--no-overlays"]
        return CliRunner().invoke(app, [*command, "--out", str(tmp_path / out)])

    write(
        ["image_id", "age_approx", "sex"],
        [names[0], "50", "female"],
        [names[1], "50", "male"],
        ["both", "50", "male"],
        ["another", "?", "?"],
    )
    result = predict("a")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "a" / "predictions.jsonl").read_text().splitlines()]
    said = [row["symmetry"]["probabilities"]["asymmetric"] for row in rows]
    assert said[0] > 0.8 > 0.2 > said[1]
    assert [row.get("given") for row in rows] == [["metadata"], ["metadata"], None, ["metadata"], ["metadata"]]
    assert said[4] == pytest.approx(said[1], abs=1e-5)
    write(["image_id", "age"], [names[0], "50"])
    assert "has no column sex; it has image_id, age; add it" in str(predict("b").exception)
    write(["image_id", "age", "sex"], [names[0], "old", "female"])
    assert "line 2: age 'old' is not a number of years" in str(predict("b").exception)
    assert not (tmp_path / "b" / "predictions.jsonl").exists()


def test_a_catalog_without_the_column_is_refused_before_any_training(
    tiny_run: Path, tmp_path: Path, pipeline_of: Callable[..., Pipeline]
) -> None:
    pipeline = pipeline_of(tiny_run / "data" / "catalog.csv", tmp_path / "run", {"symmetry": SECTION})
    with pytest.raises(ConfigError, match=r"network symmetry: the catalog has no column age for its metadata"):
        pipeline.run()
    assert not (tmp_path / "run" / "networks").exists()
