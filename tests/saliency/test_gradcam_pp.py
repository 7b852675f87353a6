"""Grad-CAM++ against hand counts, the paper's derivatives, autograd and the grad-cam package."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from selcn.labels import Fusion
from selcn.models.classifier import Classifier
from selcn.models.explained import explain as explain_pass
from selcn.models.heads import HeadOutput
from selcn.saliency.gradcam_pp import CUSTOMARY_EPSILON, autograd_grad_cam_pp, grad_cam_pp, scale_min_max

HEADS = ("squeezenet", "linear", "e-layer")


class Subject(NamedTuple):
    """A network to explain: how to run it and the layer its output is about."""

    network: nn.Module
    trace: Callable[[Tensor], HeadOutput]
    layer: nn.Module


class WithSaliency(nn.Module):
    """A classifier whose saliency input is held, so that it takes images alone."""

    def __init__(self, classifier: Classifier, saliency: Tensor) -> None:
        super().__init__()
        self.classifier, self.saliency = classifier, saliency

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(images, [self.saliency[: len(images)]])
        return logits


def make_subject(kind: str, gain: float = 1.0) -> Subject:
    """A random network in float64; ``gain`` multiplies its head's weights."""
    torch.manual_seed(1)
    if kind == "squeezenet":
        symmetry = Classifier("squeezenet1_1", 3, head="squeezenet").double().eval()
        scale_weights(symmetry.head, gain)
        return Subject(
            symmetry, symmetry.trace, symmetry.get_submodule("backbone.body.features.12.expand3x3_activation")
        )
    fusions = (Fusion.CONCAT,) if kind == "e-layer" else ()
    classifier = Classifier("test_resnet", 7, fusions=fusions).double().eval()
    scale_weights(classifier.head, gain)
    if classifier.fuse is None:
        return Subject(classifier, classifier.trace, classifier.backbone)
    wrapped = WithSaliency(classifier, torch.rand(4, 1, 15, 15, dtype=torch.float64))
    return Subject(wrapped, lambda x: classifier.trace(x, [wrapped.saliency[: len(x)]]), classifier.fuse)


def scale_weights(head: nn.Module, gain: float) -> None:
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(gain)


def random_images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 96, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def explain(trace: HeadOutput, target: Tensor, epsilon: float = 0.0) -> Tensor:
    gate = None if trace.class_maps is None else trace.class_maps[torch.arange(len(target)), target, None] > 0
    return grad_cam_pp(trace.activations, trace.weight[target], gate, epsilon=epsilon)


@pytest.mark.parametrize("epsilon", [0.0, CUSTOMARY_EPSILON])
@pytest.mark.parametrize("gain", [1.0, 100.0])
@pytest.mark.parametrize("kind", HEADS)
def test_closed_form_is_autograd(kind: str, gain: float, epsilon: float) -> None:
    subject, images = make_subject(kind, gain), random_images()
    with torch.no_grad():
        trace = subject.trace(images)
    target = torch.tensor([0, 1, 2, 1])
    saliency = explain(trace, target, epsilon)
    expected = autograd_grad_cam_pp(subject.network, subject.layer, images, target, epsilon=epsilon)
    assert saliency.amax() == 1
    torch.testing.assert_close(saliency, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_the_method_of_the_thesis_is_its_formula_with_gradients_of_autograd(kind: str) -> None:
    """alpha = g^2 / (2 g^2 + sum(A g^3) + 1e-7): activations are gated by the cubed gradient before they are summed."""
    subject, images = make_subject(kind), random_images()
    kept: list[Tensor] = []
    handle = subject.layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits = subject.network(images)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits.amax(1).sum(), kept[:1])
    activations = kept[0].detach()
    squared, cubed = gradient**2, gradient**3
    alpha = squared / (2 * squared + (activations * cubed).sum((2, 3), keepdim=True) + 1e-7)
    channel_weights = (alpha * gradient.clamp(min=0)).sum((2, 3), keepdim=True)
    maps = (channel_weights * activations).sum(1, keepdim=True).clamp(min=0)
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)  # of each image, not of the batch
    with torch.no_grad():
        trace = subject.trace(images)
    found = explain_pass(trace, method="grad-cam++-thesis")
    torch.testing.assert_close(found, (maps - low) / (high - low), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_a_batch_is_its_images_one_by_one(kind: str) -> None:
    subject, images = make_subject(kind, 100.0), random_images()
    if isinstance(subject.network, WithSaliency):
        subject.network.saliency = subject.network.saliency[:1].expand(4, -1, -1, -1)
    together = autograd_grad_cam_pp(subject.network, subject.layer, images)
    traces = [subject.trace(image[None]) for image in images]
    apart = torch.cat([explain(trace, trace.logits.argmax(1)) for trace in traces])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_customary_epsilon_is_the_grad_cam_package(kind: str) -> None:
    subject, images = make_subject(kind), random_images().float()
    subject.network.float()
    if isinstance(subject.network, WithSaliency):
        subject.network.saliency = subject.network.saliency.float()
    with torch.no_grad():
        trace = subject.trace(images)
    ours = explain(trace, trace.logits.argmax(1), CUSTOMARY_EPSILON)
    with GradCAMPlusPlus(subject.network, [subject.layer]) as package:
        theirs = package(images, targets=None)
    enlarged = np.stack([cv2.resize(saliency[0].numpy(), (80, 96)) for saliency in ours])
    rescaled = scale_min_max(torch.from_numpy(enlarged)[:, None])
    np.testing.assert_allclose(rescaled[:, 0].numpy(), theirs, rtol=0, atol=1e-4)


def test_weights_are_the_paper_s_higher_derivatives_of_the_exponential() -> None:
    """Equations 10 and 7 with Y = exp(S), each derivative taken by autograd for one activation at a time."""
    activations = torch.rand(3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    weight = torch.tensor([1.5, -0.7, 0.4], dtype=torch.float64)
    bias = -0.5

    def exponential_score(values: Tensor) -> Tensor:
        return torch.relu((values * weight[:, None, None]).sum(0) + bias).mean().exp()

    def derivatives(element: int) -> tuple[Tensor, Tensor, Tensor]:
        step = torch.zeros(12, dtype=torch.float64)
        step[element] = 1

        def along(t: Tensor) -> Tensor:
            return exponential_score(activations + t * step.view_as(activations))

        first = torch.func.grad(along)
        second = torch.func.grad(first)
        origin = torch.zeros((), dtype=torch.float64)
        return first(origin), second(origin), torch.func.grad(second)(origin)

    table = torch.tensor([derivatives(element) for element in range(12)], dtype=torch.float64).view(3, 2, 2, 3)
    first, second, third = table.unbind(-1)
    denominator = 2 * second + activations.sum((1, 2), keepdim=True) * third
    alpha = torch.where(second > 0, second / denominator.clamp(min=1e-12), 0.0)
    channel_weights = (alpha * first.relu()).sum((1, 2))
    expected = torch.relu((channel_weights[:, None, None] * activations).sum(0))
    gate = (activations * weight[:, None, None]).sum(0) + bias > 0
    assert 0 < gate.sum() < 4
    saliency = grad_cam_pp(activations[None], weight[None], gate[None, None])
    torch.testing.assert_close(saliency[0, 0], (expected - expected.min()) / (expected.max() - expected.min()))


@pytest.mark.parametrize(
    ("sums", "expected"),
    [("all", [[0, 1], [1 / 3, 0]]), ("gated", [[0, 1], [5 / 11, 0]])],
)
def test_sums_run_over_all_or_over_gated_positions(sums: str, expected: list[list[float]]) -> None:
    """Gradients are 8/4 and 4/4. All: 2*2/(2+4*2), 2*1/(2+8*1). Gated: 2*2/(2+3*2), 2*1/(2+4*1)."""
    activations = torch.tensor([[[[1.0, 2], [0, 1]], [[0, 4], [4, 0]]]], dtype=torch.float64)
    weight = torch.tensor([[8.0, 4]], dtype=torch.float64)
    gate = torch.tensor([[[[True, True], [False, False]]]])
    saliency = grad_cam_pp(activations, weight, gate, sums="gated" if sums == "gated" else "all")
    torch.testing.assert_close(saliency[0, 0], torch.tensor(expected, dtype=torch.float64))


def test_channels_of_negative_weight_do_not_count() -> None:
    activations = torch.rand(1, 2, 3, 3)
    saliency = grad_cam_pp(activations, torch.tensor([[1.0, -5.0]]))
    torch.testing.assert_close(saliency, scale_min_max(activations[:, :1]))


def test_flat_maps_are_zeros() -> None:
    activations = torch.rand(3, 2, 4, 4) + 0.1
    activations[2] = 7.0
    weight = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    gate = torch.ones(3, 1, 4, 4, dtype=torch.bool)
    gate[1] = False
    assert torch.equal(grad_cam_pp(activations, weight, gate), torch.zeros(3, 1, 4, 4))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [17, 256, 1792])
def test_rounding_is_not_scaled_up_to_a_picture(channels: int, layout: torch.memory_format) -> None:
    constant = torch.rand(4, channels, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 13, 11)
    saliency = grad_cam_pp(constant.contiguous(memory_format=layout), torch.rand(4, channels))
    assert not saliency.any()


def test_an_undefined_alpha_leaves_its_channel_out() -> None:
    """The second channel's activations sum to -2 / gradient, where the denominator is 0."""
    activations = torch.tensor([[[[1.0, 3.0]], [[-5.0, 3.0]]]])
    saliency = grad_cam_pp(activations, torch.tensor([[2.0, 2.0]]))
    assert saliency.flatten().tolist() == [0, 1]


def test_half_precision_keeps_small_weights() -> None:
    activations, weight = torch.rand(2, 8, 6, 6).half(), (torch.rand(2, 8) * 1e-4).half()
    expected = grad_cam_pp(activations.double(), weight.double())
    with torch.autocast("cpu", torch.float16):
        saliency = grad_cam_pp(activations, weight)
    assert saliency.dtype == torch.float32
    torch.testing.assert_close(saliency.double(), expected, rtol=0, atol=1e-5)


@given(st.data())
@settings(max_examples=200)
def test_saliency_is_finite_and_within_its_bounds(data: st.DataObject) -> None:
    number = st.floats(-1e3, 1e3, width=32)
    shape = data.draw(st.tuples(*[st.integers(1, 3)] * 4))
    activations = torch.from_numpy(data.draw(arrays.arrays(np.float32, shape, elements=number)))
    weight = torch.from_numpy(data.draw(arrays.arrays(np.float32, shape[:2], elements=number)))
    gate = torch.from_numpy(data.draw(arrays.arrays(np.bool_, (shape[0], 1, *shape[2:]))))
    saliency = grad_cam_pp(
        activations,
        weight,
        data.draw(st.sampled_from([None, gate])),
        epsilon=data.draw(st.sampled_from([0.0, CUSTOMARY_EPSILON])),
        sums=data.draw(st.sampled_from(["all", "gated"])),
    )
    assert saliency.shape == gate.shape
    assert bool(((saliency >= 0) & (saliency <= 1)).all())
    flat = (saliency == 0).flatten(1).all(1)
    assert bool((flat | (saliency.amax((1, 2, 3)) == 1)).all())


def test_scaling_is_each_image_s_own() -> None:
    maps = torch.tensor([[[[1.0, 2.0, 3.0]]], [[[10.0, 30.0, 20.0]]], [[[4.0, 4.0, 4.0]]]])
    assert scale_min_max(maps).flatten(1).tolist() == [[0, 0.5, 1], [0, 1, 0.5], [0, 0, 0]]


def test_autograd_reads_a_layer_that_is_overwritten_in_place() -> None:
    """The convolution's output goes into an in-place ReLU; its activations are those in front of it."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3).double()
    linear = nn.Linear(4, 2).double()
    network = nn.Sequential(conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()
    images = random_images(2)
    saliency = autograd_grad_cam_pp(network, conv, images, torch.tensor([0, 1]))
    activations = conv(images).detach()
    gradient = linear.weight[:, :, None, None] / activations[0, 0].numel() * (activations > 0)
    cubic = activations.sum((2, 3), keepdim=True) * gradient**3
    alpha = torch.where(gradient != 0, gradient**2 / (2 * gradient**2 + cubic), 0.0)
    maps = ((alpha * gradient.relu()).sum((2, 3), keepdim=True) * activations).sum(1, keepdim=True).relu()
    torch.testing.assert_close(saliency, scale_min_max(maps))


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_autograd_leaves_the_network_as_it_was(context: Callable[[], torch.inference_mode]) -> None:
    subject = make_subject("linear")
    subject.network.train()
    subject.layer.eval()
    for parameter in subject.network.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    modes = [module.training for module in subject.network.modules()]
    with context():
        saliency = autograd_grad_cam_pp(subject.network, subject.layer, random_images() * 1.0)
    assert saliency.amax() == 1
    assert not saliency.requires_grad
    assert modes == [module.training for module in subject.network.modules()]
    assert not any(module._forward_hooks for module in subject.network.modules())
    assert all(
        bool((parameter.grad == 3).all()) for parameter in subject.network.parameters() if parameter.grad is not None
    )


def test_autograd_takes_its_hook_back_when_the_network_fails() -> None:
    layer = nn.ReLU().eval()

    def fail(images: Tensor) -> Tensor:
        layer(images)
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        autograd_grad_cam_pp(fail, layer, random_images())
    assert not layer._forward_hooks
    assert torch.is_grad_enabled()


def test_autograd_refuses_what_it_cannot_explain() -> None:
    layer = nn.ReLU()
    with pytest.raises(ValueError, match="training mode"):
        autograd_grad_cam_pp(layer, layer, random_images())
    layer.eval()
    with pytest.raises(ValueError, match="ran 2 times"):
        autograd_grad_cam_pp(lambda images: layer(layer(images)).mean((2, 3)), layer, random_images())
    with pytest.raises(ValueError, match="ran 0 times"):
        autograd_grad_cam_pp(lambda images: images.mean((2, 3)), layer, random_images())
