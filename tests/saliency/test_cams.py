"""Grad-CAM, LayerCAM and Eigen-CAM against hand counts, autograd, NumPy and the grad-cam package."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM, LayerCAM
from torch import Tensor

from selcn.models.classifier import Classifier
from selcn.models.explained import explain
from selcn.saliency.cams import eigen_cam, grad_cam, layer_cam
from selcn.saliency.gradients import gradient_at
from selcn.saliency.methods import find_layer_saliency, saliency_methods

METHODS = ("grad-cam", "layer-cam", "eigen-cam")


def make(head: str) -> Classifier:
    """A random network in float64, with SqueezeNet's head or a linear one."""
    torch.manual_seed(1)
    if head == "squeezenet":
        network = Classifier("squeezenet1_1", 3, head="squeezenet")
    else:
        network = Classifier("test_resnet", 3)
    torch.nn.init.normal_(next(network.head.parameters()))
    return network.double().eval()


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 96, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def min_max(maps: np.ndarray) -> np.ndarray:
    return np.stack([(one - one.min()) / (np.ptp(one) or 1) for one in maps])


def oracle(method: str, activations: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Each method as its paper writes it, image by image, in NumPy."""
    found = []
    for values, slopes in zip(activations, gradient, strict=True):
        if method == "grad-cam":
            one = sum(slopes[k].mean() * values[k] for k in range(len(values)))
        elif method == "layer-cam":
            one = sum(np.maximum(slopes[k], 0) * values[k] for k in range(len(values)))
        else:
            flat = values.reshape(len(values), -1).T
            one = (flat @ np.linalg.svd(flat, full_matrices=False)[2][0]).reshape(values.shape[1:])
            one = one * (1 if one.sum() > 0 else -1)
        found.append(np.maximum(one, 0))
    return min_max(np.stack(found))


@pytest.mark.parametrize("head", ["squeezenet", "linear"])
@pytest.mark.parametrize("method", METHODS)
def test_closed_form_is_the_paper_s_of_autograd_s_gradient(method: str, head: str) -> None:
    network, target = make(head), torch.tensor([0, 1, 2, 1])
    layer = (
        network.backbone
        if head == "linear"
        else network.get_submodule("backbone.body.features.12.expand3x3_activation")
    )
    found = [one.numpy() for one in gradient_at(network, layer, images(), target)]
    expected = oracle(method, *found)
    with torch.no_grad():
        saliency = explain(network.trace(images()), target, method=method)[:, 0].numpy()
        alone = explain(network.trace(images()[1:2]), target[1:2], method=method)[0, 0].numpy()
    assert saliency.max() == 1
    np.testing.assert_allclose(saliency, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(saliency[1], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("layer", ["layer1", "layer3"])
@pytest.mark.parametrize("package", [GradCAM, LayerCAM])
def test_any_layer_is_the_grad_cam_package_s(package: type[Any], layer: str) -> None:
    network = make("linear").float()
    module = network.get_submodule(f"backbone.body.network.{layer}")
    found = gradient_at(network, module, images().float(), torch.tensor([0, 1, 2, 1]))
    method = grad_cam if package is GradCAM else layer_cam
    with package(network, [module]) as reference:
        maps = reference.get_cam_image(images().float(), module, None, *(one.numpy() for one in found), False)
    np.testing.assert_allclose(method(*found)[:, 0].numpy(), min_max(np.maximum(maps, 0)), rtol=0, atol=1e-5)


def test_by_hand() -> None:
    """Two channels with gradients of both signs; the third method is of one channel twice as large as the other."""
    activations = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]], [[4.0, 0.0], [0.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, 1.0], [1.0, -1.0]], [[-1.0, 0.0], [0.0, 0.0]]]])
    # Means 1/2 and -1/4: 0 - 1, 1/2, 1, 2.
    assert grad_cam(activations, gradient).flatten().tolist() == [0, 0.25, 0.5, 1]
    assert layer_cam(activations, gradient).flatten().tolist() == [0, 0.5, 1, 0]
    alike = torch.cat([activations[:, :1], -2 * activations[:, :1]], dim=1)
    assert eigen_cam(alike, alike).flatten().tolist() == pytest.approx([0, 0.25, 0.5, 1])
    assert not eigen_cam(torch.zeros(2, 3, 4, 5), torch.zeros(0)).any()


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(2, 6), st.booleans(), st.integers(0, 9))
def test_eigen_cam_is_the_singular_value_decomposition(
    channels: int, height: int, width: int, positive: bool, seed: int
) -> None:
    values = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed)).double()
    values = values.abs() if positive else values
    flat = values.flatten(2).numpy()
    spectra = [np.linalg.svd(one, compute_uv=False) for one in flat]
    projected = [np.linalg.svd(one, full_matrices=False)[2][0] for one in flat]
    if (
        any(len(one) > 1 and one[1] > 0.99 * one[0] for one in spectra)
        or min(abs(one.sum()) for one in projected) < 1e-3
    ):
        return  # the first component, or its sign, is not settled
    expected = oracle("eigen-cam", values.numpy(), values.numpy())
    np.testing.assert_allclose(eigen_cam(values, values)[:, 0].numpy(), expected, rtol=0, atol=1e-6)
    single = eigen_cam(values.float() * 1e15, values)[:, 0].numpy()
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-3)


def test_every_known_method_serves_any_layer() -> None:
    assert saliency_methods()[:4] == ["grad-cam++", *METHODS]
    activations, gradient = torch.rand(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    for name in saliency_methods()[:4]:
        saliency = find_layer_saliency(name)(activations, gradient)
        assert saliency.shape == (2, 1, 3, 4)
        assert saliency.amax((1, 2, 3)).tolist() == [1, 1], name
