import hashlib
import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import selcn
from selcn.config import ClassifierSpec
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import read_lesions
from selcn.models.plain import write_plain
from selcn.runs.bundling import BundleOptions, bundle_run
from selcn.runs.provenance import annotator_lines, cost_lines
from selcn.runs.run import open_run
from selcn.runs.subgroups import run_subgroups
from selcn.training.compute import machine


def copied(tiny_run: Path, folder: Path) -> Path:
    return shutil.copytree(tiny_run / "bundle", folder / "bundle")


def test_a_bundle_holds_one_member_a_fold_and_no_pickle(tiny_run: Path) -> None:
    config, ensemble = read_bundle(tiny_run / "bundle")
    assert config.members == len(list(ensemble.members)) == 2
    assert config.target == "diagnosis"
    assert list(config.networks) == ["lesion", "symmetry", "diagnosis"]
    names = [
        "README.md",
        "config.json",
        "lesions.txt",
        "manifest.json",
        "metrics.json",
        "model.safetensors",
        "training.json",
    ]
    assert sorted(path.name for path in (tiny_run / "bundle").iterdir() if path.name != "step.json") == names
    assert not any(network.training for network in ensemble.modules())


def test_a_bundle_loads_the_weights_that_were_trained(tiny_run: Path) -> None:
    from safetensors.torch import load_file

    _, ensemble = read_bundle(tiny_run / "bundle")
    trained = load_file(tiny_run / "networks" / "symmetry" / "fold-1" / "network.safetensors")
    loaded = list(ensemble.members)[1].networks["symmetry"].state_dict()
    assert trained.keys() == loaded.keys()
    assert all(torch.equal(trained[name], loaded[name]) for name in trained)


def test_a_changed_byte_is_named(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    weights = bundle / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match=r"model\.safetensors: was changed"):
        read_bundle(bundle)


def test_a_missing_file_is_named(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    (bundle / "config.json").unlink()
    with pytest.raises(RunError, match=r"config\.json: is missing"):
        read_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_refused_with_the_likely_one(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a bundle .*give RUN/bundle"):
        read_bundle(tmp_path)
    with pytest.raises(RunError, match=r"not a bundle .*did you mean .*tiny/bundle\?"):
        read_bundle(tiny_run)


def test_weights_of_another_network_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    config = json.loads((bundle / "config.json").read_text())
    config["networks"]["symmetry"]["labels"]["classes"].append({"name": "third"})
    (bundle / "config.json").write_text(json.dumps(config))
    sealed(bundle, "config.json")
    with pytest.raises(RunError, match=r"model\.safetensors: holds another network's weights"):
        read_bundle(bundle)


def sealed(bundle: Path, name: str, checksum: str | None = None) -> None:
    """Enter a file in the manifest as if it had been written so."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["sha256"][name] = checksum or hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["/etc/hostname", "../config.json", "a/../../b", "..\\config.json"])
def test_a_manifest_cannot_lead_out_of_the_bundle(tiny_run: Path, tmp_path: Path, name: str) -> None:
    bundle = copied(tiny_run, tmp_path)
    sealed(bundle, name, "0" * 64)
    with pytest.raises(RunError, match="lies outside the bundle"):
        read_bundle(bundle)


def test_links_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    (bundle / "config.json").rename(tmp_path / "elsewhere.json")
    (bundle / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunError, match=r"config\.json: is a link"):
        read_bundle(bundle)


def test_links_of_a_hub_s_cache_may_lead_into_it(tiny_run: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--a--b"
    bundle, blobs = cache / "snapshots" / "0123abcd", cache / "blobs"
    shutil.copytree(tiny_run / "bundle", bundle)
    blobs.mkdir()
    for file in [one for one in bundle.iterdir() if one.is_file()]:
        file.rename(blobs / file.name[::-1])
        file.symlink_to(Path("..", "..", "blobs", file.name[::-1]))
    assert read_bundle(bundle)[0] == read_bundle(tiny_run / "bundle")[0]
    outside = tmp_path / "models--a--b-c.json"
    shutil.copy(bundle / "config.json", outside)
    (bundle / "config.json").unlink()
    (bundle / "config.json").symlink_to(outside)
    with pytest.raises(RunError, match=r"config\.json: is a link"):
        read_bundle(bundle)


def test_other_line_ends_and_a_card_of_one_s_own_change_nothing(tiny_run: Path, tmp_path: Path) -> None:
    bundle, before = copied(tiny_run, tmp_path), selcn.load(tiny_run / "bundle")
    for file in (*bundle.glob("*.json"), bundle / "lesions.txt"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    (bundle / "README.md").write_text("of our clinic")
    after = selcn.load(bundle)
    assert (after.config, after.digest) == (before.config, before.digest)
    (bundle / "README.md").unlink()
    (bundle / "metrics.json").write_bytes((bundle / "metrics.json").read_bytes() + b"\n")
    with pytest.raises(RunError, match=r"metrics\.json: was changed"):
        read_bundle(bundle)


def test_weights_must_be_vouched_for(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    (bundle / "manifest.json").write_text('{"sha256": {}}')
    with pytest.raises(RunError, match=r"does not name config\.json"):
        read_bundle(bundle)


def test_a_configuration_with_nan_or_unknown_keys_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    for change in ('"members": 0', '"members": NaN', '"planet": 1, "members": 2'):
        bundle = copied(tiny_run, tmp_path / str(len(change)))
        text = (bundle / "config.json").read_text()
        (bundle / "config.json").write_text(text.replace('"members": 2', change))
        sealed(bundle, "config.json")
        with pytest.raises(RunError, match=r"config\.json: .*make the bundle anew"):
            read_bundle(bundle)


def test_the_card_tells_use_data_and_figures(tiny_run: Path) -> None:
    card = (tiny_run / "bundle" / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header)["library_name"] == "selcn"
    assert "not a medical" in text
    assert "phantom: 96 images, synthetic" in text
    recorded = pd.read_csv(tiny_run / "evaluation" / "lesion.csv").query("fold_part == 'test' and metric == 'dice'")
    row = recorded.iloc[0]
    assert f"| lesion | dice | test | {row['value']:.3f} | {row['low']:.3f} to {row['high']:.3f} |" in text
    metrics = json.loads((tiny_run / "bundle" / "metrics.json").read_text())
    assert {row["network"] for row in metrics} == {"diagnosis", "symmetry", "lesion"}


def test_the_card_tells_which_network_was_trained_on_which_machine(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("store", "bundle", "outputs"))
    manifest = tmp_path / "run" / "networks" / "diagnosis" / "fold-1" / "step.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "machine": "a GPU", "torch": "9.9"}))
    line = cost_lines(open_run(tmp_path / "run"), ["symmetry", "diagnosis"])[-1]
    here = f"{machine()}, PyTorch {version('torch')}"
    assert line.startswith(f"Machines: {here} (symmetry, diagnosis); a GPU, PyTorch 9.9 (diagnosis); ")


def test_the_card_tells_annotators_subgroups_cost_and_citation(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    table = run.table.assign(mask_by=["anna", "", "berta", "anna"] * 24, dx_type="histo")
    assert annotator_lines(table) == [
        "Mask given by: anna (48), berta (24); 24 images without",
        "Diagnoses confirmed by: histo (96); 0 images without",
    ]
    text = (tiny_run / "bundle" / "README.md").read_text()
    steps = [step for step in run.plan if step.kind == "networks" and step.network != "diagnosis-standalone"]
    seconds = sum(run.folder.manifest(step)["seconds"] for step in steps)
    assert f"added up ({seconds:.0f} seconds; lesion " in text
    assert f"Machine: {machine()}, PyTorch {version('torch')}; {run.environment()['system']}." in text
    for row in run_subgroups(run, "diagnosis").to_dict("records"):
        assert f"{row['subgroup']}{' (worst)' * row['worst']} | {row['value']:.3f} |" in text
    assert "The catalog names nobody" in text
    assert "@mastersthesis{selcn-thesis," in text


def test_another_network_is_bundled_on_demand(tiny_run: Path, tmp_path: Path) -> None:
    config = bundle_run(tiny_run, tmp_path / "b", "diagnosis-standalone")
    assert config.target == "diagnosis-standalone"
    assert list(config.networks) == ["lesion", "symmetry", "diagnosis-standalone"]
    assert selcn.load(tmp_path / "b").config == config
    with pytest.raises(ConfigError, match="exists already"):
        bundle_run(tiny_run, tmp_path / "b")
    with pytest.raises(ConfigError, match="has no network best; it has lesion, symmetry, diagnosis"):
        bundle_run(tiny_run, tmp_path / "c", "best")


def test_an_unknown_format_version_is_refused_by_name(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps(config | {"format_version": 7}))
    sealed(bundle, "config.json")
    with pytest.raises(RunError, match="is of bundle format 7, this selcn reads 1; use the selcn that wrote it"):
        read_bundle(bundle)


def test_training_settings_are_kept_and_never_read_back(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    training = json.loads((bundle / "training.json").read_text())
    assert training["networks"]["symmetry"]["epochs"] == 2
    assert "epochs" not in (bundle / "config.json").read_text()
    (bundle / "training.json").write_text(json.dumps({"planet": 1}))
    sealed(bundle, "training.json")
    assert read_bundle(bundle)[0] == read_bundle(tiny_run / "bundle")[0]


def test_the_lesions_and_images_that_trained_it_are_listed_as_hashes(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    listed = read_lesions(tiny_run / "bundle")
    trained = run.table[run.table["image_id"].map(run.split.part) != "test"]
    expected = {f"lesion:{one}" for one in trained["lesion_id"]} | {f"image:{one}" for one in trained["image_id"]}
    assert listed == {hashlib.sha256(name.encode()).hexdigest()[:12] for name in expected}


BUNDLES = Path(__file__).parent / "bundles"


def test_a_bundle_of_format_1_loads_for_ever(tmp_path: Path) -> None:
    """Made once by `make_format_1.py` beside it; never made anew, for it stands for those that people have."""
    shutil.unpack_archive(BUNDLES / "format-1.tar.gz", tmp_path, filter="data")
    answers = json.loads((BUNDLES / "format-1-answers.json").read_text())
    rows, columns = np.mgrid[:60, :80]
    image = np.stack([rows * 4, columns * 3, (rows + columns) % 256], axis=2).astype(np.uint8)
    prediction = selcn.load(tmp_path / "format-1").predict(image)
    found = {name: one.probabilities for name, one in prediction.results.items()}
    assert found == {name: pytest.approx(expected, abs=1e-4) for name, expected in answers["probabilities"].items()}
    assert prediction.lesion is not None
    assert prediction.lesion.mask.mean() == pytest.approx(answers["share"], abs=0.01)
    assert prediction.warnings == tuple(answers["warnings"])
    assert prediction["streaks"].saliency.mean() == pytest.approx(answers["streaks_saliency"], abs=1e-4)


def test_a_plain_state_dict_answers_as_the_member_does_by_the_lines_of_the_card(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="--plain: the network reads the saliency of symmetry, which no"):
        bundle_run(tiny_run, tmp_path / "reads", options=BundleOptions(plain=True))
    with pytest.raises(ConfigError, match="--plain: a segmentation network has no plain state dict"):
        bundle_run(tiny_run, tmp_path / "lesion", "lesion", BundleOptions(plain=True))
    assert list(tmp_path.iterdir()) == []
    ended = ClassifierSpec(labels=["a", "b"], backbone="test_resnet", reduction=16)
    with pytest.raises(ConfigError, match="--plain: the network ends before its library's own does"):
        write_plain(tmp_path, [], ended)
    bundle_run(tiny_run, tmp_path / "b", "diagnosis-standalone", BundleOptions(plain=True))
    card = (tmp_path / "b" / "README.md").read_text()
    lines = [line[4:] for line in card[card.index("without selcn") :].splitlines() if line.startswith("    ")]
    assert len(lines) == 3
    monkeypatch.chdir(tmp_path / "b")
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    _, ensemble = read_bundle(tmp_path / "b")  # its checksums hold the plain files too
    network = next(iter(ensemble.members)).networks["diagnosis-standalone"]
    images = torch.rand(3, 3, 32, 32)
    mean, std = ([float(one) for one in text.split(",")] for text in re.findall(r"\(([\d., ]+)\)", card)[:2])
    normalised = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(names["model"](normalised), network(images), atol=1e-5)
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["sha256"].keys() >= {
        "plain/member-0.safetensors",
        "plain/member-1.safetensors",
    }
