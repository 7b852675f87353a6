"""Images out of distribution through a run's bundle: scores recomputed, noise and photographs warned of, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_sample_images

import selcn
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.datasets import as_floats
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import ConfigError
from selcn.inference.assembly import read_bundle
from selcn.inference.result import prepare
from selcn.report.ood_sections import ood_sections
from selcn.runs import bundling
from selcn.runs.folder import FEATURES_EARLIER
from selcn.runs.ood import score_ood
from selcn.runs.run import open_run


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog of noise, blank frames and photographs."""
    folder, generator = tmp_path_factory.mktemp("strange"), np.random.default_rng(0)
    images = {f"noise {n}": generator.integers(0, 256, (60, 80, 3), dtype=np.uint8) for n in range(4)}
    images |= {f"blank {n}": np.full((60, 80, 3), level, np.uint8) for n, level in enumerate((0, 90, 180, 255))}
    images |= {f"photograph {n}": one for n, one in enumerate(load_sample_images().images)}
    for name, image in images.items():
        write_image(folder / f"{name}.png", image)
    table = pd.DataFrame({"image_id": list(images), "image_path": [f"{name}.png" for name in images]})
    table.assign(source=[name.split()[0] for name in images]).to_csv(folder / "odd.csv", index=False)
    return folder / "odd.csv"


def test_scores_are_those_of_the_networks_and_what_is_odd_is_warned_of(
    tiny_run: Path, strange: Path, tmp_path: Path, command: Callable[..., int]
) -> None:
    assert command("evaluate", tiny_run, "--ood", strange, "--out", tmp_path / "ood") == 0
    scores = pd.read_csv(tmp_path / "ood" / "scores.csv").fillna({"warnings": ""})
    odd = scores[scores["ood"] == 1]
    assert len(scores) == len(odd) + len(open_run(tiny_run).test_rows)
    assert (odd["warnings"] != "").all(), odd[["image_id", "warnings"]]
    predictor, (config, ensemble) = selcn.load(tiny_run / "bundle"), read_bundle(tiny_run / "bundle")
    row, path = odd.iloc[-1], strange.parent / f"{odd['image_id'].iloc[-1]}.png"
    prediction = predictor.predict(path)
    assert row["max_probability"] == pytest.approx(1 - max(prediction["diagnosis"].probabilities.values()), abs=1e-6)
    assert row["distance"] == pytest.approx(prediction.distance, rel=1e-4)
    energies, distances = [], []
    with torch.inference_mode():
        prepared = as_floats(torch.from_numpy(prepare(read_image(path), config)).permute(2, 0, 1)[None])
        for member in ensemble.members:
            logits = member(prepared).outputs["diagnosis"].logits[0].double()
            energies.append(-float(torch.log(torch.exp(logits).sum())))
            backbone: Any = member.networks["diagnosis"].backbone
            fitted = member.distance_earlier
            small = torch.nn.functional.interpolate(prepared, (32, 32), mode="bilinear", antialias=True)
            body = backbone.body.network
            hidden = body.maxpool(body.act1(body.bn1(body.conv1(backbone.normalise(small)))))
            features = body.layer3(body.layer2(body.layer1(hidden))).mean((2, 3))
            assert fitted is not None
            distances.append(float((((features - fitted.mean) @ fitted.whitening) ** 2).mean() ** 0.5))
    assert row["energy"] == pytest.approx(np.mean(energies), abs=1e-4)
    assert row["distance_earlier"] == pytest.approx(np.mean(distances), rel=1e-3)


def test_the_report_of_a_run_shows_what_lies_in_its_folder(
    tiny_run: Path, strange: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, predictor = open_run(tiny_run), selcn.load(tiny_run / "bundle")
    assert ood_sections(run, predictor) == []
    usual = run.table.iloc[run.test_rows].reset_index(drop=True)
    scores = score_ood(predictor, tiny_run / "bundle", usual, read_catalog(strange), tmp_path / "odd", resamples=20)
    monkeypatch.setattr(type(run.folder), "ood", lambda _folder, name: tmp_path / name)
    (section,) = ood_sections(run, predictor)
    assert (section.name, section.usual, section.strange) == ("odd", len(usual), 10)
    assert [table.title for table in section.tables] == ["odd: all", "odd: noise", "odd: blank", "odd: photograph"]
    measured = section.tables[2].rows["feature distance"]["auroc"].estimate
    chosen = scores.table[(scores.table["ood"] == "blank") & (scores.table["score"] == "distance")]
    assert measured.value == pytest.approx(chosen["value"].iloc[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--ood", "FOLDS"], "--ood: RUN/bundle was trained on lesions or images of 3 of the 3; leave them out"),
        (["RUN", "--ood", "TESTED"], "and 2 others are usual images too; leave them out"),
        (["RUN/bundle", "FOLDS", "--ood", "ODD"], "usual images: RUN/bundle was trained on lesions or images of 3"),
        (["RUN/bundle", "--ood", "ODD"], "is a bundle; give a catalog of images that it was not trained on behind it"),
        (["RUN", "--ood", "ODD", "--all"], "--ood: goes with --out, --overlap and --device, not with --all"),
        (["ODD", "--ood", "ODD"], "with --ood give a run's folder, or a bundle and a catalog"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    arguments: list[str],
    message: str,
    tiny_run: Path,
    strange: Path,
    tmp_path: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = open_run(tiny_run)
    places = {"RUN": str(tiny_run), "ODD": str(strange)}
    for name, rows in (("FOLDS", run.fold_rows[0][:3]), ("TESTED", run.test_rows[:3])):
        places[name] = str(tmp_path / f"{name}.csv")
        write_catalog(run.table.iloc[rows].reset_index(drop=True), Path(places[name]))
    for name, place in places.items():
        arguments = [one.replace(name, place) for one in arguments]
        message = message.replace(name, place)
    assert command("evaluate", *arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_warnings_follow_from_a_stated_rate_of_false_alarms(tiny_run: Path, tmp_path: Path) -> None:
    run = open_run(tiny_run)
    config = bundling.bundle_run(tiny_run, tmp_path / "often", options=bundling.BundleOptions(false_alarms=0.5))
    usual = selcn.load(tiny_run / "bundle").config
    assert config.reliability is not None
    assert usual.reliability is not None
    often, seldom = (one.networks["diagnosis"] for one in (config.reliability, usual.reliability))
    assert seldom.false_alarms == pytest.approx(1 / (1 + _held_lesions(tiny_run)))
    assert often.false_alarms == 0.5
    assert often.distance < seldom.distance
    assert config.reliability.image.brightness[0] > usual.reliability.image.brightness[0]
    features = run.output("diagnosis", FEATURES_EARLIER)
    assert often.earlier is not None
    assert often.earlier.channels == features.shape[1]
    with pytest.raises(ConfigError, match=r"a rate of 0.001 needs 999 out-of-fold lesions, but there are \d+; ask for"):
        bundling.bundle_run(tiny_run, tmp_path / "never", options=bundling.BundleOptions(false_alarms=0.001))


def _held_lesions(path: Path) -> int:
    """Lesions whose distances the threshold comes from: of each fold all but half of its lesions."""
    run = open_run(path)
    of_fold = [run.table["image_id"].iloc[rows].map(run.split.group).nunique() for rows in run.fold_rows]
    return sum(lesions - max(1, lesions // 2) for lesions in of_fold)
