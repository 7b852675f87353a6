import json
import shutil
from pathlib import Path

import pytest
import torch

from selcn.bundle import read_bundle
from selcn.errors import RunError


def copied(tiny_run: Path, folder: Path) -> Path:
    return shutil.copytree(tiny_run / "bundle", folder / "bundle")


def test_a_bundle_holds_one_member_a_fold_and_no_pickle(tiny_run: Path) -> None:
    config, ensemble = read_bundle(tiny_run / "bundle")
    assert config.members == len(list(ensemble.members)) == 2
    assert config.variant.name == "se-lcn-none-none"
    assert {path.suffix for path in (tiny_run / "bundle").rglob("*") if path.is_file()} == {".json", ".safetensors"}
    assert not any(network.training for network in ensemble.modules())


def test_a_bundle_loads_the_weights_that_were_trained(tiny_run: Path) -> None:
    from safetensors.torch import load_file

    _, ensemble = read_bundle(tiny_run / "bundle")
    trained = load_file(tiny_run / "symmetry" / "none" / "fold-1" / "network.safetensors")
    loaded = list(ensemble.members)[1].symmetry.state_dict()
    assert trained.keys() == loaded.keys()
    assert all(torch.equal(trained[name], loaded[name]) for name in trained)


def test_a_changed_byte_is_named(tiny_run: Path, tmp_path: Path) -> None:
    bundle = copied(tiny_run, tmp_path)
    weights = bundle / "member-1" / "classifier.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match=r"member-1/classifier\.safetensors: was changed"):
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
    config["symmetry"]["classes"] = 3
    (bundle / "config.json").write_text(json.dumps(config))
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["sha256"]["config.json"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"symmetry\.safetensors: holds another network's weights"):
        read_bundle(bundle)
