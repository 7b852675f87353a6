"""What a run's saliency is worth: scores are what their formulas give of the run's own maps; files, and the report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from typer.testing import CliRunner

from selcn.cli import app
from selcn.errors import ConfigError, DataError
from selcn.evaluation.registry import metric_spec
from selcn.explain.explainers import ClassExplainer
from selcn.models.mirror import Mirror
from selcn.report.quality_section import quality_sections
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run
from selcn.runs.saliency_jobs import open_job
from selcn.runs.saliency_quality import QualityOptions, measure_saliency_quality

COUNT = 3


@pytest.fixture(scope="module")
def quality(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three test images, by the command; the run itself stands for another seed."""
    out = tmp_path_factory.mktemp("quality") / "quality"
    words = ["saliency-quality", tiny_run, "--images", COUNT, "--against", tiny_run, "--resamples", 20, "--out", out]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert "network symmetry, test (3 images)" in result.output
    return out


def test_scores_are_those_of_the_ensemble_s_own_maps(tiny_run: Path, quality: Path) -> None:
    scores = pd.read_csv(quality / "symmetry" / "scores.csv")
    assert scores["saliency"].value_counts().eq(COUNT).all()
    assert scores["fold"].eq("test").all()
    job = open_job(tiny_run, network="symmetry")
    own = scores[scores["saliency"] == "network"].set_index("image_id")
    rows = np.flatnonzero(job.table["image_id"].isin(own.index))
    own = own.loc[job.table["image_id"].iloc[rows]]
    explainer = job.assignments[-1].explainer
    assert isinstance(explainer, ClassExplainer)
    images, masks = job.images(rows), torch.from_numpy(job.source_images.masks(rows))[:, None].float()
    with torch.inference_mode():
        together = explainer.explain(images, known=job.known(rows))
        alone = [one.explain(images, together.target, job.known(rows)) for one in explainer.single_members()]
        asymmetry = Mirror().compare_map(together.saliency, masks)
    for number, row in enumerate(own.to_dict("records")):
        first, second = (one.saliency[number].flatten().numpy() for one in alone)
        expected = spearmanr(first, second).statistic if np.ptp(first) and np.ptp(second) else np.nan
        assert row["agreement_members"] == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert row["map_asymmetry"] == pytest.approx(asymmetry[number].item(), abs=1e-5, nan_ok=True)
        flat = not together.saliency[number].any()
        assert row["flat"] == flat
        scored = ["road", "infidelity", "max_sensitivity", "complexity", "agreement_seeds"]
        assert [np.isnan(row[name]) for name in scored] == [flat] * len(scored)
        if not flat:
            assert row["agreement_seeds"] == pytest.approx(1)  # the run with itself
    assert {f"randomised_{percent}" for percent in (10, 25, 50, 75, 100)} < set(own)
    mask = scores[scores["saliency"] == "lesion mask"]
    assert mask["place_32"].dropna().to_numpy() == pytest.approx(0.5, abs=0.2)  # marks the place as the rest
    assert "agreement_diagnosis" not in pd.read_csv(quality / "diagnosis" / "scores.csv")


def test_the_table_is_registered_written_twice_and_resumed(quality: Path, tiny_run: Path) -> None:
    table = pd.read_csv(quality / "quality.csv")
    assert {metric_spec(name).name for name in table["metric"]} == set(table["metric"])
    assert set(table["network"]) == {"symmetry", "diagnosis"}
    told = json.loads((quality / "quality.json").read_text(encoding="utf-8"))["metrics"]
    assert len(told) == len(table)
    written = (quality / "symmetry" / "scores.csv").stat().st_mtime_ns
    options = QualityOptions(networks=["symmetry"], against=[tiny_run], count=COUNT)
    again = measure_saliency_quality(tiny_run, quality, options, resamples=20)
    assert set(again["network"]) == {"symmetry"}
    assert (quality / "symmetry" / "scores.csv").stat().st_mtime_ns == written
    with pytest.raises(DataError, match="holds something else"):
        measure_saliency_quality(tiny_run, quality, replace(options, count=2), resamples=20)


def test_the_report_shows_it(quality: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(tiny_run)
    assert quality_sections(run) == []
    monkeypatch.setattr(RunFolder, "saliency_quality", quality)
    for section in quality_sections(run):
        rows = pd.read_csv(quality / "quality.csv").query(f"network == '{section.network}'")
        road = rows.query("saliency == 'network' and metric == 'road'")["value"]
        shown = section.tables[0].rows["network"]
        assert len(road) == 0 or shown["road"].estimate.value == pytest.approx(road.item())
        assert "place_8" in {metric for table in section.tables for metric in table.metrics}, (
            "the phantom's place is known"
        )
        assert section.charts


def test_what_cannot_be_measured_is_one_line(tiny_run: Path, tmp_path: Path, phantom: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="network lesion: is no classifier; give one with --network"):
        measure_saliency_quality(tiny_run, tmp_path / "out", QualityOptions(networks=["lesion"]))
    one = [Path(phantom["image_path"].iloc[0])]
    with pytest.raises(ConfigError, match="has another split"):
        measure_saliency_quality(tiny_run / "bundle", tmp_path / "out", QualityOptions(images=one, against=[tiny_run]))
    assert not (tmp_path / "out").exists()
