"""`selcn evaluate` gives the metrics that its options ask for, and refuses in one line what cannot be given."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.labels import SYMMETRY_BINARY

Selcn = Callable[..., int]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Predictions of 60 images of 30 lesions, two thirds out of fold; asymmetric is right in three of four."""
    generator, truth = np.random.default_rng(0), np.repeat([0, 1], 30)
    share = np.where(generator.random(60) < 0.75, 1 - truth, truth) * 0.6 + 0.2
    table = pd.DataFrame({"image_id": range(60), "group": np.arange(60) // 2})
    table["fold"] = np.asarray(["0", "1", "test"])[table["group"] % 3]
    table["truth"] = np.asarray(SYMMETRY_BINARY.names)[truth]
    path = tmp_path / "symmetry.csv"
    table.assign(**dict(zip(SYMMETRY_BINARY.names, (share, 1 - share), strict=True))).to_csv(path, index=False)
    return path


@pytest.fixture
def printed(selcn: Selcn, capsys: pytest.CaptureFixture[str]) -> Callable[..., pd.DataFrame]:
    """Run `selcn evaluate ARGUMENTS --json` and return the rows."""

    def run(*arguments: object) -> pd.DataFrame:
        assert selcn("evaluate", *arguments, "--resamples", 20, "--json") == 0
        return pd.DataFrame(json.loads(capsys.readouterr().out))

    return run


def test_further_metrics_are_added_where_asked_for(file: Path, printed: Callable[..., pd.DataFrame]) -> None:
    costs = file.with_name("costs.csv")
    costs.write_text("truth,asymmetric,symmetric\nasymmetric,0,5\nsymmetric,1,0\n")
    usual, whole = printed(file), printed(file, "--all", "--costs", costs)
    pd.testing.assert_frame_equal(whole.head(len(usual)), usual)
    found = whole[whole["fold_part"] == "test"].set_index("metric")["value"]
    ill, alarms = 1 - found["sensitivity_asymmetric"], 1 - found["specificity_asymmetric"]
    assert found["expected_cost"] == pytest.approx(ill * 5 / 2 + alarms / 2)
    stated = printed(file, "--prevalence", "asymmetric=0.1", "--beta", 0.5)
    assert list(stated["metric"].tail(3)) == [f"{name}_asymmetric_at_prevalence_10" for name in ("ppv", "npv", "f0.5")]
    curve = printed(file, "--decision-curve", "asymmetric")
    assert curve["threshold"].iloc[9] == 0.1
    assert curve["net_benefit"].iloc[9] == pytest.approx(0.5 - 0.5 / 9)  # all are above: as if every image is positive
    profile = printed(file, "--profile", "metrics-reloaded")
    assert {"mcc", "ece_kde"} <= set(profile["metric"])
    assert profile.loc[profile["metric"].isna(), "question"].tolist() == ["how grave are the errors"]


def test_borders_of_a_runs_masks_are_scored(tiny_run: Path, printed: Callable[..., pd.DataFrame]) -> None:
    in_pixels, in_mm = printed(tiny_run, "--tolerance", 2), printed(tiny_run, "--tolerance", 1, "--spacing", 0.5)
    assert list(in_pixels["metric"].unique()) == ["nsd", "boundary_iou", "assd", "masd"]
    factor = np.tile([1, 1, 0.5, 0.5], 2)
    np.testing.assert_allclose(in_mm["value"], in_pixels["value"] * factor)


def test_recommended_metrics_of_masks_are_those_of_overlap_and_of_borders(
    tiny_run: Path, printed: Callable[..., pd.DataFrame], selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, scores = ("--profile", "metrics-reloaded"), tiny_run / "predictions" / "lesion.csv"
    of_file = printed(scores, *profile)
    assert of_file["metric"].dropna().unique().tolist() == ["dice", "jaccard"]
    (border,) = of_file[of_file["metric"].isna()].to_dict("records")
    assert border["question"] == "is its border right"
    command = "`selcn evaluate RUN --profile metrics-reloaded --tolerance PIXELS`"
    assert command in border["reason"]
    assert selcn("evaluate", scores, *profile, "--resamples", 20) == 0
    assert capsys.readouterr().out.count(command) == 1
    of_run = printed(tiny_run, *profile, "--tolerance", 2)
    assert of_run["metric"].unique().tolist() == ["dice", "jaccard", "nsd", "boundary_iou"]
    assert not of_run["reason"].str.contains("selcn").any()
    columns = ["metric", "fold_part", "value", "low", "high", "images", "groups"]
    borders = printed(tiny_run, "--tolerance", 2)
    parts = [of_file.dropna(subset="metric"), borders[borders["metric"].isin(["nsd", "boundary_iou"])]]
    pd.testing.assert_frame_equal(of_run[columns], pd.concat(parts, ignore_index=True)[columns], check_dtype=False)
    assert selcn("evaluate", tiny_run, *profile, "--tolerance", 2, "--resamples", 20) == 0
    out = capsys.readouterr().out
    assert out.startswith("lesion\n- does the mask cover the lesion?")
    assert "boundary_iou" in out


def test_prediction_sets_of_files_and_runs(file: Path, tiny_run: Path, printed: Callable[..., pd.DataFrame]) -> None:
    catalog = file.with_name("catalog.csv")
    pd.DataFrame({"image_id": range(60), "site": ["arm", "leg"] * 30}).to_csv(catalog, index=False)
    table = printed(file, "--conformal", 0.8, "--by", "site", "--catalog", catalog)
    assert table["subgroup"].tolist() == ["all", *SYMMETRY_BINARY.names, "arm", "leg"]
    assert table["images"].tolist() == [20, 10, 10, 10, 10]
    # Of the 10 lesions of each class at most 2 images in 8 may be missed: both probabilities are 0.2 or 0.8.
    assert set(table["threshold"].dropna()) <= {0.2, 0.8}
    of_runs = printed(tiny_run, tiny_run, "--conformal", 0.5, "--network", "symmetry")
    assert of_runs["lesions"].dropna().gt(0).all()
    of_shares = printed(tiny_run, "--conformal", 0.5, "--network", "symmetry", "--by", "lesion_share")
    shares = of_shares[of_shares["of"] == "lesion_share"]
    assert shares["images"].sum() == of_shares["images"].iloc[0]
    assert len(shares) == 4  # quartiles
    assert len(of_runs) == 2 * len(printed(tiny_run, "--conformal", 0.5, "--network", "symmetry"))


def test_sets_of_a_network_without_classes_are_refused(
    tiny_run: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("evaluate", tiny_run, "--conformal", 0.5, "--network", "lesion") == 2
    assert "--network lesion: has no classes to make sets of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--costs", "costs.csv"], "costs of mel, nv, but the predictions are of asymmetric, symmetric"),
        (["--prevalence", "mel"], "--prevalence mel: write CLASS=SHARE"),
        (["--prevalence", "asymmetric=2"], "prevalence of asymmetric is 2; give a share"),
        (["--beta", "2"], "--beta: is of F-beta"),
        (["--decision-curve", "mel"], "decision curve of mel: no such class"),
        (["--tolerance", "0.5"], "tolerance is 0.5 pixels; give at least one pixel"),
        (
            ["--tolerance", "2", "--all"],
            "--tolerance: give one run's folder; it goes with --spacing, --profile, not with --all",
        ),
        (["--conformal", "0.95"], "coverage 0.95 needs 19 out-of-fold lesions a class, but asymmetric has 10"),
        (["--conformal", "0.5", "--beta", "2"], "--conformal: goes with --by, --catalog"),
        (["--conformal", "0.5", "--by", "sex"], "--by and --catalog: give both"),
        (["--conformal", "0.5", "--network", "a"], "is a file, which is of one network"),
        (["--spacing", "2"], "--spacing: give --tolerance as well"),
        (["--network", "a"], "--network: goes with --given or --conformal"),
        (["--overlap"], "--overlap: is of a bundle and a catalog"),
        (["--out", "elsewhere"], "--out: is of a bundle and a catalog"),
        (["--decision-curve", "asymmetric", "--prevalence", "symmetric=0.1"], "--prevalence symmetric: is not of"),
    ],
)
def test_what_cannot_be_given_is_one_line(
    options: list[str],
    message: str,
    file: Path,
    selcn: Selcn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    Path("costs.csv").write_text("truth,mel,nv\nmel,0,1\nnv,1,0\n")
    assert selcn("evaluate", file, *options, "--resamples", 5) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
