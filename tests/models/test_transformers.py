"""Transformers and hybrids as backbones, against timm's own networks, autograd and ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from selcn.config import ClassifierSpec
from selcn.errors import ConfigError
from selcn.inference.assembly import build_cascade
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_graphs
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Fusion
from selcn.models.backbones import build_backbone
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble
from selcn.models.explained import explain
from selcn.models.timm_backbones import TimmFeatures
from selcn.saliency.gradcam_pp import autograd_grad_cam_pp

FAMILIES = {
    "test_vit": (64, 48),
    "test_vit4": (64, 48),  # timm normalises its pooled tokens
    "deit_tiny_distilled_patch16_224": (64, 48),
    "vit_tiny_patch16_dinov3_qkvb": (64, 48),
    "swin_tiny_patch4_window7_224": (96, 64),
    "test_convnext": (96, 64),
    "test_maxvit": (96, 64),
    "test_mambaout": (96, 64),
}


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest) -> Classifier:
    """A classifier of each family with random weights, in float64."""
    torch.manual_seed(0)
    network = Classifier(request.param, 7, size=FAMILIES[request.param]).double().eval()
    nn.init.normal_(network.head.get_parameter("linear.weight"))
    return network


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 72, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_closed_form_is_autograd_and_the_head_sees_the_pooled_tokens(subject: Classifier) -> None:
    with torch.no_grad():
        output = subject.trace(images(7))
    assert subject.size is not None
    assert tuple(output.activations.shape[2:]) in {
        (subject.size[1] // step, subject.size[0] // step) for step in (16, 32)
    }
    head = subject.get_submodule("head.linear")
    torch.testing.assert_close(output.logits, head(output.activations.mean((2, 3))))
    target = torch.arange(7)
    saliency = explain(output, target)
    assert saliency.amax() == 1
    expected = autograd_grad_cam_pp(subject, subject.backbone, images(7), target)
    torch.testing.assert_close(saliency, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "prefix"), [("test_vit", 1), ("vit_tiny_patch16_dinov3_qkvb", 5)])
def test_positions_are_timm_s_tokens_row_by_row(name: str, prefix: int) -> None:
    backbone = build_backbone(name, size=(64, 48)).eval()
    body = backbone.body
    assert isinstance(body, TimmFeatures)
    with torch.no_grad():
        tokens = body.network.forward_features(backbone.normalise(images().float()[..., :48, :64]))
        features = backbone(images().float()[..., :48, :64])
    assert tokens.shape[1] == prefix + 12
    for row in range(3):
        for column in range(4):
            assert torch.equal(features[:, :, row, column], tokens[:, prefix + 4 * row + column])


def test_swin_feeds_timm_s_own_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network: Any = timm.create_model("swin_tiny_patch4_window7_224", num_classes=5, img_size=(64, 96)).eval()
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    backbone = build_backbone("swin_tiny_patch4_window7_224", tmp_path / "w.safetensors", (96, 64)).eval()
    given = images().float()[..., :64, :]
    with torch.no_grad():
        torch.testing.assert_close(network.head.fc(backbone(given).mean((2, 3))), network(backbone.normalise(given)))


def test_position_embeddings_of_a_file_are_resampled_as_timm_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source: Any = timm.create_model("test_vit", num_classes=5)  # of 160x160: 10x10 positions
    path = tmp_path / "w.safetensors"
    save_file({f"module.{key}": value.contiguous() for key, value in source.state_dict().items()}, path)
    body = build_backbone("test_vit", path, (64, 48)).body
    assert isinstance(body, TimmFeatures)
    expected = resample_abs_pos_embed(source.pos_embed, new_size=[3, 4], num_prefix_tokens=1)
    torch.testing.assert_close(body.network.pos_embed, expected)
    assert torch.equal(body.network.blocks[1].mlp.fc1.weight, source.blocks[1].mlp.fc1.weight)
    own = build_backbone("test_vit", path)
    assert own.size == (160, 160)
    assert torch.equal(own.body.get_parameter("network.pos_embed"), source.pos_embed)
    with pytest.raises(ConfigError, match=r"do not fit VisionTransformer: missing blocks\.10\.attn"):
        build_backbone("vit_tiny_patch16_224", path, (64, 48))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("test_vit", (100, 60), "multiples of 16, 100x60 is not; the nearest are 96x48 and 112x64: set the network"),
        (
            "vit_small_patch14_dinov2",
            (224, 225),
            "multiples of 14, 224x225 is not; the nearest are 224x224 and 224x238",
        ),
        ("test_maxvit", (96, 80), "multiples of 32, 96x80 is not; the nearest are 96x64 and 96x96"),
    ],
)
def test_a_size_that_a_transformer_cannot_take_is_refused(name: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(name, size=size)


@pytest.mark.parametrize("fusion", [Fusion.CONCAT, Fusion.ATTENTION])
def test_every_parameter_of_a_transformer_that_reads_saliency_learns(fusion: Fusion) -> None:
    network = Classifier("test_vit4", 7, fusions=[fusion], size=(64, 48))
    loss = nn.functional.cross_entropy(network(images().float(), [torch.rand(3, 1, 5, 4)]), torch.tensor([1, 5, 0]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_graphs_of_windows_and_attention_say_what_pytorch_says(tmp_path: Path) -> None:
    spec = ClassifierSpec.model_validate({"labels": "ham10000", "backbone": "test_maxvit", "size": (96, 64)})
    torch.manual_seed(0)
    ensemble = Ensemble([build_cascade({"diagnosis": spec})]).eval()
    config = BundleConfig(
        selcn="0",
        name="x",
        prepare=Preparation(size=(96, 72), hair=False),
        networks={"diagnosis": spec},
        target="diagnosis",
        members=1,
        split="0",
    )
    graphs = [tmp_path / one for one in export_graphs(config, ensemble, tmp_path)]
    pixels = np.random.default_rng(0).integers(0, 255, (3, 72, 96, 3), dtype=np.uint8)
    ours, theirs = OnnxEngine(config, graphs)(pixels), TorchEngine(ensemble)(pixels)
    assert np.abs(ours.probabilities["diagnosis"] - theirs.probabilities["diagnosis"]).max() < 1e-4
    assert np.abs(ours.saliency["diagnosis"] - theirs.saliency["diagnosis"]).max() < 1e-4
