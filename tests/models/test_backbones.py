"""Backbones against the whole networks that they are cut from."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models as tv
from safetensors.torch import save_file

from selcn.errors import ConfigError
from selcn.models.backbones import IMAGENET_MEAN, IMAGENET_STD, Normalise, build_backbone, resize_images

REAL_WEIGHTS = Path(__file__).parents[3] / "shared/weights/squeezenet1_1_imagenet.safetensors"


def save_state(network: torch.nn.Module, path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


def test_normalisation_is_that_of_imagenet_and_kept_with_the_weights() -> None:
    images = torch.tensor([0.485, 0.5, 1.0]).view(1, 3, 1, 1)
    expected = [0, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(Normalise()(images).flatten(), torch.tensor(expected))
    state = build_backbone("squeezenet1_1").state_dict()
    assert state["normalise.mean"].flatten().tolist() == pytest.approx(IMAGENET_MEAN)
    assert state["normalise.std"].flatten().tolist() == pytest.approx(IMAGENET_STD)


def test_a_timm_network_keeps_the_statistics_it_was_trained_with() -> None:
    means = [build_backbone(name).normalise.mean.flatten().tolist() for name in ("test_resnet", "test_efficientnet")]
    assert means == [pytest.approx([0.5, 0.5, 0.5]), pytest.approx(list(IMAGENET_MEAN))]


@pytest.mark.parametrize(
    "name", ["squeezenet1_0", "squeezenet1_1", "torchvision/resnet18", "torchvision/mobilenet_v3_small"]
)
def test_torchvision_features_feed_the_network_s_own_head(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = tv.get_model(name.removeprefix("torchvision/"), weights=None).eval()
    backbone = build_backbone(name, save_state(network, tmp_path / "w.safetensors")).eval()
    images = torch.rand(2, 3, 96, 80)
    with torch.no_grad():
        features = backbone(images)
        if isinstance(network, tv.SqueezeNet):
            logits = network.classifier(features).flatten(1)
        else:
            head = network.fc if isinstance(network, tv.ResNet) else network.classifier
            logits = head(network.avgpool(features).flatten(1))
        torch.testing.assert_close(logits, network(Normalise()(images)))
    assert features.shape[1] == backbone.channels


def test_timm_features_feed_the_network_s_own_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network: Any = timm.create_model("test_efficientnet", num_classes=9).eval()
    backbone = build_backbone("test_efficientnet", save_state(network, tmp_path / "w.safetensors")).eval()
    images = torch.rand(2, 3, 96, 80)
    with torch.no_grad():
        features = backbone(images)
        torch.testing.assert_close(network.forward_head(features), network(backbone.normalise(images)))
    assert features.shape[1] == backbone.channels


@pytest.mark.parametrize(("name", "reduction"), [("test_efficientnet", 16), ("resnet10t", 8)])
def test_a_backbone_ends_behind_the_last_stage_of_a_reduction(name: str, reduction: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network: Any = timm.create_model(name, num_classes=9).eval()
    weights = save_state(network, tmp_path / "w.safetensors")
    backbone = build_backbone(name, weights, reduction=reduction).eval()
    images = torch.rand(2, 3, 96, 160)
    stage = [info["reduction"] for info in network.feature_info].index(reduction)
    with torch.no_grad():
        features = backbone(images)
        (expected,) = network.forward_intermediates(
            backbone.normalise(images), indices=[stage], intermediates_only=True
        )
    torch.testing.assert_close(features, expected)
    assert features.shape == (2, backbone.channels, 96 // reduction, 160 // reduction)
    kept = sum(parameter.numel() for parameter in backbone.parameters())
    assert kept < 0.7 * sum(parameter.numel() for parameter in network.parameters())


def test_weights_of_a_deeper_network_are_refused_for_a_part_too(tmp_path: Path) -> None:
    weights = save_state(timm.create_model("resnet34"), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="do not fit ResNet: unexpected"):
        build_backbone("resnet18", weights, reduction=16)


@pytest.mark.parametrize(
    ("name", "reduction", "message"),
    [
        ("squeezenet1_1", 16, "only timm's networks for any image size end behind a stage"),
        ("vit_tiny_patch16_224", 16, "only timm's networks for any image size end behind a stage"),
        ("convnext_atto", 2, "no stage of reduction 2, it has 4, 8, 16, 32; leave reduction out"),
        ("hrnet_w18_small", 16, r"no \(N, C, h, w\) feature map"),
    ],
)
def test_a_reduction_that_a_network_has_not_is_refused(name: str, reduction: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(name, reduction=reduction)


def test_building_leaves_batch_norm_and_training_mode_untouched() -> None:
    backbone = build_backbone("torchvision/resnet18")
    assert all(module.training for module in backbone.modules())
    assert int(backbone.state_dict()["body.bn1.num_batches_tracked"]) == 0


@pytest.mark.skipif(not REAL_WEIGHTS.is_file(), reason="no ImageNet weights beside the repository")
def test_imagenet_weights_in_half_precision_are_accepted() -> None:
    backbone = build_backbone("squeezenet1_1", REAL_WEIGHTS)
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())
    edges = torch.zeros(1, 3, 128, 128)
    edges[..., 64:] = 1
    activity = backbone(edges).mean((0, 1, 2))
    assert activity[3:5].mean() > activity[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18d_", "unknown backbone 'resnet18d_'; close are .*resnet18d"),
        ("squeezenet", "close are squeezenet1_"),
        ("torchvision/resnet17", "close are .*torchvision/resnet18"),
        ("levit_128s", r"no \(N, C, h, w\) feature map: it makes \(1, 16, 384\) of .*; take another, such as resnet18"),
        ("mixer_s32_224", r"makes \(1, 49, 512\) of a 224x224 image"),
        ("torchvision/shufflenet_v2_x0_5", "no average pooling to cut at"),
    ],
)
def test_networks_that_cannot_serve_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(name)


@pytest.mark.parametrize(("name", "library"), [("squeezenet1_1", "torchvision"), ("resnet18", "timm")])
def test_imagenet_means_the_library_s_download(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is asked for its weights; without a connection the line says so."""
    asked = []

    def refuse(*_: Any, **options: Any) -> None:
        asked.append(options)
        raise OSError("no route to host")

    monkeypatch.setattr(*((tv, "get_model", refuse) if library == "torchvision" else (timm, "create_model", refuse)))
    with pytest.raises(ConfigError, match=f"no ImageNet weights for '{name}' .*no route to host.*check the connection"):
        build_backbone(name, "imagenet")
    assert asked[0].get("weights") == "DEFAULT" or asked[0]["pretrained"] is True


def test_images_are_resized_to_width_and_height_or_left() -> None:
    images = torch.rand(1, 3, 8, 12)
    assert resize_images(images, None) is images
    assert resize_images(images, (12, 8)) is images
    halved = resize_images(torch.full((1, 3, 8, 12), 0.25), (6, 4))
    torch.testing.assert_close(halved, torch.full((1, 3, 4, 6), 0.25))
