"""A classifier with SqueezeNet's own head against torchvision's, and its trace against the network's own layers."""

from pathlib import Path

import pytest
import torch
import torchvision.models as tv
from safetensors.torch import save_file

from selcn.models.backbones import Normalise, resize_images
from selcn.models.classifier import Classifier
from selcn.models.heads import PooledLinearHead, SqueezeNetHead

IMAGES = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_with_squeezenet_it_is_torchvision_s_network(name: str, tmp_path: Path) -> None:
    reference = tv.get_model(name, weights=None, num_classes=2).eval()
    save_file(reference.state_dict(), tmp_path / "w.safetensors")
    network = Classifier(name, 2, head="squeezenet", weights=tmp_path / "w.safetensors").eval()
    assert isinstance(network.head, SqueezeNetHead)
    network.head.conv.load_state_dict(reference.classifier[1].state_dict())
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), reference(Normalise()(IMAGES)))


@torch.no_grad()
def test_the_target_layer_is_the_last_3x3_expansion() -> None:
    network = Classifier("squeezenet1_0", 3, head="squeezenet").eval()
    seen = []
    layer = network.get_submodule("backbone.body.features.12.expand3x3_activation")
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    trace = network.trace(IMAGES)
    assert torch.equal(trace.activations, seen[0])
    assert trace.weight.shape == (3, 256)
    assert isinstance(network.head, SqueezeNetHead)
    assert torch.equal(trace.weight, network.head.conv.weight[:, 256:, 0, 0])
    assert trace.class_maps is not None
    assert torch.equal(trace.logits, trace.class_maps.relu().mean((2, 3)))


def test_another_backbone_gets_the_linear_head() -> None:
    network = Classifier("test_resnet", 2).eval()
    assert isinstance(network.head, PooledLinearHead)
    trace = network.trace(IMAGES)
    expected = trace.activations.mean((2, 3)) @ trace.weight.T + network.head.linear.bias
    torch.testing.assert_close(network(IMAGES), expected)


def test_images_are_brought_to_its_size() -> None:
    network = Classifier("squeezenet1_1", 2, head="squeezenet", size=(64, 48)).eval()
    unsized = Classifier("squeezenet1_1", 2, head="squeezenet").eval()
    unsized.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(IMAGES), unsized(resize_images(IMAGES, (64, 48))))
