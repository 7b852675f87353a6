"""Weight files that fit and the ways in which they do not."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from selcn.errors import ConfigError
from selcn.models.backbones import build_backbone
from selcn.models.segmenter import Segmenter
from selcn.models.weights import load_pretrained, unknown_name


def make_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5))


def save(path: Path, **changes: Tensor | None) -> Path:
    """The state of a new network with some keys replaced (``_`` for ``.``) or, given None, left out."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    state: dict[str, Tensor | None] = {**make_network().state_dict(), **named}
    save_file({key: value for key, value in state.items() if value is not None}, path)
    return path


def test_weights_arrive_cast_and_the_head_stays(tmp_path: Path) -> None:
    kernel = torch.randn(4, 3, 3, 3).half()
    path = save(tmp_path / "w.safetensors", **{"0.weight": kernel, "2.weight": torch.zeros(1000, 4), "2.bias": None})
    network = make_network()
    head = network[2].weight.clone()  # type: ignore[index]
    load_pretrained(network, path, head=["2"])
    state = network.state_dict()
    assert state["0.weight"].dtype == torch.float32
    assert torch.equal(state["0.weight"], kernel.float())
    assert torch.equal(state["2.weight"], head)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0.bias": None}, "missing 0.bias;"),
        ({"extra": torch.zeros(1)}, "unexpected extra;"),
        ({"0.bias": torch.zeros(7)}, "misshapen 0.bias;"),
        (
            {"1.bias": None, "1.weight": None, "0.bias": None, "0.weight": None},
            "missing 0.bias, 0.weight, 1.bias and 1 ",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Tensor | None], message: str) -> None:
    path = save(tmp_path / "other.safetensors", **changes)
    with pytest.raises(ConfigError, match=rf"other\.safetensors do not fit Sequential: {message}"):
        load_pretrained(make_network(), path, head=["2"])


def test_a_missing_file_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=str(tmp_path / "imagnet")):
        load_pretrained(make_network(), "imagnet", head=())


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pickled.pt"
    torch.save(make_network().state_dict(), path)
    with pytest.raises(ConfigError, match="not a safetensors file"):
        load_pretrained(make_network(), path, head=())


def test_unknown_names_come_with_close_ones() -> None:
    assert str(unknown_name("dish", "sop", ["soup", "stew"])) == "unknown dish 'sop'; close are soup"
    assert str(unknown_name("dish", "qqqq", ["soup", "stew"])) == "unknown dish 'qqqq'; no name is close"


def with_prefix(path: Path, prefix: str, network: nn.Module, **more: Tensor) -> Path:
    save_file({**{prefix + key: value for key, value in network.state_dict().items()}, **more}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "module.model.", "model.backbone."])
def test_prefixes_of_training_scripts_are_taken_off(tmp_path: Path, prefix: str) -> None:
    source, network = make_network(), make_network()
    more = {"head.weight": torch.zeros(3, 3)} if prefix else {}  # beside the backbone, and so not of it
    load_pretrained(network, with_prefix(tmp_path / "w.safetensors", prefix, source, **more), head=["2"])
    assert torch.equal(network.state_dict()["0.weight"], source.state_dict()["0.weight"])


def test_what_is_not_used_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = with_prefix(tmp_path / "w.safetensors", "model.", make_network(), other=torch.zeros(1))
    load_pretrained(make_network(), path, head=["2"])
    assert caplog.messages == [f"weights {path}: not used: model.2.bias, model.2.weight, other"]


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_a_plain_file_of_timm_is_weights_of_a_backbone_and_of_an_encoder(tmp_path: Path, name: str) -> None:
    plain = timm.create_model(name, num_classes=5)
    path = with_prefix(tmp_path / "w.safetensors", "module.", plain)
    state = plain.state_dict()
    for found in (
        build_backbone(name, path).body.state_dict(),
        Segmenter("Unet", f"tu-{name}", weights=path).network.encoder.state_dict(),
    ):
        assert all(torch.equal(value, state[key.split(".", 1)[1]]) for key, value in found.items())
