"""Saliency of a run, of one of its networks, and of a bundle: who explains what, and how good it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import selcn
from selcn.cli import app
from selcn.data.catalog import read_catalog
from selcn.data.imaging.read import read_image
from selcn.data.splits.split import read_split
from selcn.errors import ConfigError, DataError, RunError
from selcn.evaluation.localisation import summarise_saliency, summarise_saliency_by
from selcn.explain.explainers import Explainer
from selcn.explain.job import SaliencyJob
from selcn.explain.runner import write_saliency
from selcn.explain.scoring import write_saliency_scores
from selcn.inference.result import prepare
from selcn.models.cascade import NOTHING, Known
from selcn.models.explained import Explained
from selcn.runs.saliency_jobs import open_job
from selcn.saliency.maps import read_saliency

BYTES_AN_IMAGE = 1024


@pytest.fixture(scope="module")
def catalog(tiny_run: Path) -> pd.DataFrame:
    """Of the run."""
    return read_catalog(tiny_run / "data" / "catalog.csv")


@pytest.fixture(scope="module")
def symmetry(tiny_run: Path) -> SaliencyJob:
    """Symmetry of the run's own images."""
    return open_job(tiny_run, network="symmetry")


def test_of_a_run_folds_are_explained_out_of_fold(
    tiny_run: Path, symmetry: SaliencyJob, catalog: pd.DataFrame, tmp_path: Path
) -> None:
    saliency = write_saliency(symmetry, tmp_path / "maps")
    split = read_split(tiny_run / "split" / "split.json", catalog)
    assert sorted(saliency.index["image_id"]) == sorted(catalog["image_id"])
    assert saliency.index["fold"].tolist() == [split.part[name] for name in saliency.index["image_id"]]
    # What trained the classifiers is this very saliency.
    recorded = np.load(tiny_run / "outputs" / "symmetry" / "saliency.npy")
    for row, name in enumerate(catalog["image_id"]):
        np.testing.assert_allclose(saliency.of(name), recorded[row], atol=1e-5)
    assert (tmp_path / "maps" / "saliency.npy").stat().st_size <= BYTES_AN_IMAGE * len(catalog)


def test_the_test_part_is_explained_as_the_bundle_does(
    tiny_run: Path, symmetry: SaliencyJob, catalog: pd.DataFrame, tmp_path: Path
) -> None:
    tested = symmetry.only((symmetry.table["fold"] == "test").to_numpy())
    saliency = write_saliency(tested, tmp_path / "maps")
    name = saliency.index["image_id"].iloc[0]
    picture = catalog.set_index("image_id").loc[name, "image_path"]
    prediction = selcn.load(tiny_run / "bundle").predict(Path(str(picture)))
    np.testing.assert_allclose(saliency.of(name), prediction["symmetry"].saliency, atol=1e-4)
    row = saliency.index.iloc[0]
    assert prediction["symmetry"].probabilities[row["target"]] == pytest.approx(row["probability"], abs=1e-4)
    assert row["target"] == row["prediction"] == prediction["symmetry"].prediction


def test_a_bundle_explains_other_pictures(tiny_run: Path, catalog: pd.DataFrame, tmp_path: Path) -> None:
    picture = Path(catalog["image_path"].iloc[0])
    job = open_job(tiny_run / "bundle", [picture])
    saliency = write_saliency(job, tmp_path / "maps", target="mel")
    predictor = selcn.load(tiny_run / "bundle")
    prediction = predictor.predict(picture)
    said = predictor.run(prepare(read_image(picture), predictor.config)[None]).probabilities["diagnosis"][0]
    assert saliency.index["target"].tolist() == ["mel"]
    assert saliency.index["probability"][0] == pytest.approx(said[1], abs=1e-4)  # as said, not calibrated
    assert saliency.index["prediction"][0] == prediction["diagnosis"].prediction


def test_a_chosen_layer_is_explained_by_the_command(tiny_run: Path, tmp_path: Path, catalog: pd.DataFrame) -> None:
    """Also of a network that reads saliency; another layer is other work."""
    command = ["saliency", str(tiny_run / "bundle"), *catalog["image_path"][:2], "--method", "layer-cam"]
    out = ["--out", str(tmp_path / "maps")]
    result = CliRunner().invoke(app, [*command, "--layer", "layer2", *out, "--overlay", "all"])
    assert result.exit_code == 0, result.output
    maps = read_saliency(tmp_path / "maps")
    assert maps.maps.shape == (2, 4, 4)
    assert maps.plan["layer"] == "layer2"
    assert len(list((tmp_path / "maps" / "overlays").iterdir())) == 2
    other = CliRunner().invoke(app, [*command, "--layer", "layer1", *out])
    assert "holds something else" in str(other.exception)
    unknown = CliRunner().invoke(app, [*command, "--layer", "layer9", *out])
    assert "--layer layer9: unknown; known are conv1" in str(unknown.exception)
    scores = write_saliency_scores(
        open_job(tiny_run / "networks" / "symmetry" / "fold-0", method="eigen-cam", layer="features.9"),
        tmp_path / "scores",
    )
    assert scores.loc[scores["saliency"] == "network", "pointing"].notna().any()


@pytest.mark.parametrize(
    "network", ["networks/lesion/fold-1", "networks/symmetry/fold-1", "networks/diagnosis-standalone/fold-1"]
)
def test_one_network_speaks_of_its_fold_and_of_the_test_part(tiny_run: Path, tmp_path: Path, network: str) -> None:
    job = open_job(tiny_run / network)
    saliency = write_saliency(job, tmp_path / "maps")
    assert set(saliency.index["fold"]) == {"1", "test"}
    assert saliency.plan["network"] == network.split("/")[1]
    assert saliency.maps.min() >= 0
    assert saliency.maps.max() <= 1
    weights = open_job(tiny_run / network / "network.safetensors")
    assert weights.origin == job.origin


def test_work_goes_on_after_a_stop_to_the_same_result(
    symmetry: SaliencyJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_saliency(symmetry, tmp_path / "whole")

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_saliency(symmetry, tmp_path / "maps", on_progress=stop)
    assert not (tmp_path / "maps").exists()
    asked, images = [], symmetry.source_images.images

    def count(rows: np.ndarray) -> torch.Tensor:
        asked.append(len(rows))
        return images(rows)

    monkeypatch.setattr(symmetry.source_images, "images", count)
    resumed = write_saliency(symmetry, tmp_path / "maps")
    assert len(asked) == len(symmetry.batches()) - 2
    np.testing.assert_array_equal(resumed.maps, whole.maps)
    pd.testing.assert_frame_equal(resumed.index, whole.index)


def test_scores_hold_every_kind_of_saliency_against_lesion_and_asymmetry(symmetry: SaliencyJob, tmp_path: Path) -> None:
    scores = write_saliency_scores(symmetry, tmp_path / "scores", curves=3)
    kinds = ["network", "random weights", "centred Gaussian", "lesion mask", "chance"]
    lesion = scores[scores["against"] == "lesion"]
    assert lesion["saliency"].value_counts().to_dict() == dict.fromkeys(kinds, len(symmetry.table))
    asymmetric = symmetry.table["symmetry"] == "asymmetric"
    held = scores[(scores["against"] == "asymmetry") & (scores["saliency"] == "network")]
    assert set(held["symmetry"]) <= {"asymmetric", "one-axis"}
    assert len(held) >= asymmetric.sum() > 0
    mask = lesion[lesion["saliency"] == "lesion mask"]
    assert mask["overlap"].min() == 1
    assert mask["pointing"].min() == 1
    measured = scores["deletion"].notna()
    assert measured.sum() == 3 * len(kinds)
    assert set(scores[measured]["fold"]) == {"test"}
    network = lesion[lesion["saliency"] == "network"]
    flat = network["flat"] == 1
    assert network["rank_correlation"][~flat].to_numpy() == pytest.approx(1)
    assert network["energy"].isna().equals(flat)

    summary = summarise_saliency(scores, resamples=20).set_index(["against", "saliency", "metric", "fold_part"])
    value = summary.loc[("lesion", "network", "pointing", "test"), "value"]
    assert value == pytest.approx(network[network["fold"] == "test"]["pointing"].mean())
    by = summarise_saliency_by(scores, ["symmetry", "lesion_share"], resamples=20)
    assert set(by["of"]) == {"symmetry", "lesion_share"}
    one = by[(by["subgroup"] == "asymmetric") & (by["against"] == "lesion") & (by["metric"] == "pointing")]
    one = one[(one["saliency"] == "network") & (one["fold_part"] == "validation")]["value"].item()
    rows = network[(network["symmetry"] == "asymmetric") & (network["fold"] != "test")]
    assert one == pytest.approx(rows["pointing"].mean())
    with pytest.raises(DataError, match="the scores have no column planet"):
        summarise_saliency_by(scores, ["planet"])


def test_maps_marking_the_lesion_less_than_chance_are_told_so(symmetry: SaliencyJob, tmp_path: Path) -> None:
    # The network is replaced by one that marks what is no lesion: each score must fall below chance.
    class Inverse(Explainer):
        labels = ("one",)

        def explain(self, images: torch.Tensor, target: int | None = None, known: Known = NOTHING) -> Explained:
            del target, known
            dark = (images.mean(1, keepdim=True) < 0.55).float()
            return Explained(torch.ones(len(images), 1), torch.zeros(len(images), dtype=torch.int64), 1 - dark)

    given = [one._replace(explainer=Inverse()) for one in symmetry.assignments]
    job = SaliencyJob(symmetry.table, symmetry.source_images, given, "symmetry", symmetry.device, {})
    scores = write_saliency_scores(job, tmp_path / "scores")
    summary = summarise_saliency(scores, resamples=20)
    chosen = summary[(summary["saliency"] == "network - chance") & (summary["metric"] == "energy")]
    assert len(chosen[chosen["against"] == "lesion"]) == 2
    assert (chosen[chosen["against"] == "lesion"]["high"] < 0).all()


def test_bad_requests_get_one_line(
    tiny_run: Path, symmetry: SaliencyJob, tmp_path: Path, catalog: pd.DataFrame
) -> None:
    picture = Path(catalog["image_path"].iloc[0])
    with pytest.raises(RunError, match="neither a bundle, nor a run"):
        open_job(tmp_path)
    with pytest.raises(ConfigError, match="a bundle has no images of its own"):
        open_job(tiny_run / "bundle")
    with pytest.raises(ConfigError, match="a run explains its own images"):
        open_job(tiny_run, [picture])
    with pytest.raises(ConfigError, match="has no network best; it has lesion, symmetry, diagnosis"):
        open_job(tiny_run, network="best")
    with pytest.raises(ConfigError, match="has no network best; it has lesion, symmetry, diagnosis"):
        open_job(tiny_run / "bundle", [picture], "best")
    with pytest.raises(ConfigError, match="leave --network out"):
        open_job(tiny_run / "networks" / "symmetry" / "fold-0", network="diagnosis")
    with pytest.raises(ConfigError, match="saliency 'guess': unknown"):
        write_saliency(open_job(tiny_run, method="guess"), tmp_path / "guess")
    with pytest.raises(RunError, match="not a network of a run"):
        open_job(tiny_run / "store")
    with pytest.raises(ConfigError, match="--target mel: network symmetry knows asymmetric, symmetric"):
        write_saliency(symmetry, tmp_path / "maps", target="mel")
    unmasked = open_job(tiny_run / "bundle", [picture])
    with pytest.raises(DataError, match="no image has a true mask"):
        write_saliency_scores(unmasked, tmp_path / "scores")
    with pytest.raises(DataError, match="not whole"):
        read_saliency(tmp_path)
