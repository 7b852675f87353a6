"""Explaining heads: who is asked, what they see, and what random weights change."""

import pytest
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.explain.explainers import (
    Choice,
    ClassExplainer,
    LesionExplainer,
    build_explainer,
    randomised,
    randomised_from_top,
)
from selcn.explain.lesion import explain_lesion
from selcn.inference.assembly import build_cascade
from selcn.labels import Fusion
from selcn.models.cascade import Cascade
from selcn.models.ensemble import Ensemble
from selcn.models.segmenter import Segmenter

SPECS: dict[str, SegmenterSpec | ClassifierSpec] = {
    "lesion": SegmenterSpec(architecture="Unet", encoder="resnet18"),
    "symmetry": ClassifierSpec(labels="symmetry-binary", backbone="squeezenet1_1", head="squeezenet", masking="lae"),
    "diagnosis": ClassifierSpec(labels="ham10000", backbone="resnet10t", reads={"symmetry": Fusion.CONCAT}),
}


@pytest.fixture(scope="module")
def members() -> list[Cascade]:
    """Two cascades of random networks."""
    torch.manual_seed(1)
    return [build_cascade(SPECS).eval(), build_cascade(SPECS).eval()]


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Three images."""
    return torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_explainers_answer_as_the_cascade_does(members: list[Cascade], images: Tensor) -> None:
    output = Ensemble(members[:1])(images)
    for name in ("symmetry", "diagnosis"):
        explained = build_explainer(members[:1], name).explain(images)
        torch.testing.assert_close(explained.probabilities, output.probabilities[name])
        torch.testing.assert_close(explained.saliency, output.saliency[name])


@torch.inference_mode()
def test_members_are_averaged_for_the_class_they_predict_together(members: list[Cascade], images: Tensor) -> None:
    explainers = [build_explainer([one], "diagnosis") for one in members]
    together = build_explainer(members, "diagnosis").explain(images)
    alone = [explainer.explain(images) for explainer in explainers]
    torch.testing.assert_close(together.probabilities, (alone[0].probabilities + alone[1].probabilities) / 2)
    for target in range(7):
        named = [explainer.explain(images, target).saliency for explainer in explainers]
        of_target = together.target == target
        torch.testing.assert_close(together.saliency[of_target], ((named[0] + named[1]) / 2)[of_target])


@torch.inference_mode()
def test_random_weights_change_the_explained_network_alone(members: list[Cascade], images: Tensor) -> None:
    explainer = ClassExplainer(members[:1], "diagnosis")
    before = explainer.explain(images).saliency
    twin = randomised(explainer, seed=3)
    torch.testing.assert_close(explainer.explain(images).saliency, before)
    assert not torch.allclose(twin.explain(images).probabilities, explainer.explain(images).probabilities)
    torch.testing.assert_close(twin.explain(images).saliency, randomised(explainer, seed=3).explain(images).saliency)
    for name in ("lesion", "symmetry"):
        kept = dict(twin.members[0].networks[name].named_parameters())
        for parameter, values in members[0].networks[name].named_parameters():
            assert torch.equal(kept[parameter], values)


def test_layers_become_random_from_the_output_down(members: list[Cascade]) -> None:
    explainer = ClassExplainer(members, "diagnosis")
    for member, twin_of in zip(members, range(2), strict=True):
        kept = dict(member.networks["diagnosis"].named_parameters())
        changed = []
        for twin in randomised_from_top(explainer, (0.01, 0.5, 1.0), seed=3):
            own = twin.members[twin_of].networks["diagnosis"].named_parameters()
            changed.append({name for name, values in own if not torch.equal(values, kept[name])})
        assert changed[0] == {"head.linear.weight", "head.linear.bias"}
        assert changed[0] < changed[1] < changed[2]
        assert any("layer4" in name for name in changed[1])
        assert not any("conv1.0" in name or "layer1" in name for name in changed[1])
        weights = {name for name, values in kept.items() if values.ndim > 1}
        assert weights <= changed[2]  # the scales of batch norms start at 1 again


@torch.inference_mode()
def test_without_masking_the_segmenter_is_not_asked(images: Tensor) -> None:
    class Untouchable(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise AssertionError("asked")

    specs = {**SPECS, "symmetry": SPECS["symmetry"].model_copy(update={"masking": "none"})}
    cascade = build_cascade(specs).eval()
    cascade.networks["lesion"] = Untouchable()
    (view,) = ClassExplainer([cascade], "symmetry").look(images)
    assert view.seen is images
    assert ClassExplainer([cascade], "diagnosis").explain(images).probabilities.shape == (3, 7)


@pytest.mark.parametrize("method", ["grad-cam++", "grad-cam", "layer-cam", "eigen-cam"])
def test_the_head_s_own_layer_by_name_is_the_closed_form(members: list[Cascade], images: Tensor, method: str) -> None:
    """Of a network that reads saliency the input of the head is `fuse`; flips change probabilities, not the map."""
    flipping = [build_cascade(SPECS), build_cascade(SPECS)]
    for cascade, member in zip(flipping, members, strict=True):
        cascade.load_state_dict(member.state_dict())
        cascade.eval().specs["diagnosis"] = SPECS["diagnosis"].model_copy(update={"flips": True})
    with torch.inference_mode():
        own = build_explainer(flipping, "diagnosis", Choice(method)).explain(images)
        layer = build_explainer(flipping, "diagnosis", Choice(method, "fuse")).explain(images)
        finer = build_explainer(flipping, "diagnosis", Choice(method, "layer2")).explain(images, 3)
    torch.testing.assert_close(layer.saliency, own.saliency, rtol=0, atol=1e-4)
    torch.testing.assert_close(layer.probabilities, own.probabilities)
    assert finer.saliency.shape == (3, 1, 8, 12)
    assert finer.target.tolist() == [3, 3, 3]
    assert finer.saliency.amax() > 0


def test_a_block_of_a_transformer_is_a_map_of_its_tokens(images: Tensor) -> None:
    spec = ClassifierSpec.model_validate({"labels": "ham10000", "backbone": "test_vit", "size": (64, 48)})
    cascade = build_cascade({"diagnosis": spec}).double().eval()
    with torch.inference_mode():
        own, norm, block = (
            build_explainer([cascade], "diagnosis", Choice(None, layer)).explain(images.double(), 2).saliency
            for layer in (None, "norm", "blocks.0")
        )
    torch.testing.assert_close(norm, own, rtol=0, atol=1e-9)
    assert block.shape == (3, 1, 3, 4)
    assert not torch.allclose(block, own)


@torch.inference_mode()
def test_layers_and_methods_that_do_not_serve_are_refused(members: list[Cascade], images: Tensor) -> None:
    for name, choice, said in (
        ("diagnosis", Choice(None, "layer5"), r"--layer layer5: unknown; known are conv1, .*layer4.*close are layer"),
        ("symmetry", Choice(None, "fuse"), "--layer fuse: unknown; known are features"),
        ("symmetry", Choice("guess", None), r"saliency 'guess': unknown; known are grad-cam\+\+, grad-cam, layer-cam"),
        ("lesion", Choice("grad-cam", None), "network lesion: a segmentation network is explained by"),
        ("diagnosis", Choice(None, "global_pool"), "--layer global_pool: cannot be explained .*ran 0 times"),
    ):
        with pytest.raises(ConfigError, match=said):
            build_explainer(members, name, choice).explain(images)


class MeanLesionLogit(nn.Module):
    """The score that segmentation saliency explains, as a network of one class."""

    def __init__(self, segmenter: Segmenter, called: Tensor) -> None:
        super().__init__()
        self.segmenter, self.called = segmenter, called

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, 1)."""
        logits: Tensor = self.segmenter(images)
        mean: Tensor = (logits * self.called).sum((1, 2, 3)) / self.called.sum((1, 2, 3))
        return mean[:, None]


def test_lesion_saliency_equals_the_grad_cam_package(images: Tensor) -> None:
    segmenter = Segmenter("Unet", "resnet18").eval().double()
    images = images.double()
    called = (segmenter(images) > 0).detach()
    lesion, ours = explain_lesion(segmenter, images)
    network = MeanLesionLogit(segmenter, called)
    with GradCAMPlusPlus(network, [segmenter.network.encoder.layer4]) as package:
        theirs = torch.from_numpy(package(images, targets=None))
    stretched = nn.functional.interpolate(ours, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    # The package adds 1e-6 to its denominator and stretches the map before it scales it.
    correlation = torch.corrcoef(torch.stack([stretched.flatten(), theirs.flatten().double()]))[0, 1]
    assert correlation > 0.99
    assert lesion.min() > 0.5


def test_lesion_explainer_names_lesion_and_background(members: list[Cascade], images: Tensor) -> None:
    explainer = build_explainer(members, "lesion")
    assert isinstance(explainer, LesionExplainer)
    lesion, background = explainer.explain(images), explainer.explain(images, 1)
    assert lesion.target.tolist() == [0, 0, 0]
    assert background.target.tolist() == [1, 1, 1]
    assert (lesion.probabilities[:, 0] > background.probabilities[:, 0]).all()
    torch.testing.assert_close(lesion.probabilities.sum(1), torch.ones(3))


def test_where_no_lesion_is_found_all_pixels_are_explained(images: Tensor) -> None:
    segmenter = Segmenter("Unet", "resnet18").eval()
    with torch.no_grad():
        segmenter.network.segmentation_head[0].bias.fill_(-1e3)
    lesion, saliency = explain_lesion(segmenter, images)
    assert lesion.max() < 1e-6
    assert torch.isfinite(saliency).all()
