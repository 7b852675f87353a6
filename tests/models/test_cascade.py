import pytest
import torch
from torch import nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.inference.assembly import build_cascade
from selcn.labels import Control, Fusion
from selcn.models.cascade import Cascade, Pass
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble
from selcn.models.explained import explain
from selcn.models.masking import apply_masking
from selcn.saliency import methods
from selcn.saliency.controls import replace_saliency
from selcn.saliency.gradcam_pp import autograd_grad_cam_pp
from selcn.saliency.methods import find_saliency, register_saliency, saliency_methods

IMAGES = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def member(reads: dict[str, Fusion] | None = None, *, read_mask: str = "lae", mask: str = "segmentation") -> Cascade:
    reads = {"symmetry": Fusion.CONCAT} if reads is None else reads
    cascade = build_cascade(
        {
            "lesion": SegmenterSpec(architecture="Unet", encoder="tu-mobilenetv3_small_050"),
            "symmetry": ClassifierSpec(
                labels="symmetry-binary", backbone="squeezenet1_1", head="squeezenet", masking=read_mask
            ),
            "diagnosis": ClassifierSpec(labels="ham10000", backbone="resnet10t", masking=mask, reads=reads),
        }
    ).eval()
    # Random weights say "half" everywhere; larger ones give masks, maps and classes that differ.
    for network in cascade.networks.values():
        for layer in network.head.children() if isinstance(network, Classifier) else ():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.normal_(layer.weight)
    return cascade


@torch.no_grad()
@pytest.mark.parametrize("mask", ["none", "segmentation", "lae"])
def test_a_cascade_is_its_networks_one_after_the_other(mask: str) -> None:
    cascade = member(mask=mask)
    found = cascade(IMAGES)

    lesion = cascade.networks["lesion"](IMAGES).sigmoid()
    seen = apply_masking(IMAGES, lesion > 0.5, "lae")
    saliency = explain(cascade.networks["symmetry"].trace(seen))  # type: ignore[operator]
    logits = cascade.networks["diagnosis"](apply_masking(IMAGES, lesion > 0.5, mask), [saliency])
    assert torch.equal(found.lesion, lesion)
    assert torch.allclose(found.outputs["symmetry"].logits, cascade.networks["symmetry"](seen))
    assert torch.equal(found.saliency["symmetry"], saliency)
    assert torch.allclose(found.outputs["diagnosis"].logits, logits)


@torch.no_grad()
def test_only_what_a_network_needs_runs_before_it() -> None:
    cascade = member({}, mask="none")
    nothing, mask_alone = cascade.before("diagnosis", IMAGES), cascade.before("symmetry", IMAGES)
    assert (nothing.lesion, nothing.outputs) == (None, {})
    assert mask_alone.lesion is not None
    assert mask_alone.outputs == {}
    both = member(mask="none").before("diagnosis", IMAGES)
    assert list(both.outputs) == ["symmetry"]


@torch.no_grad()
def test_an_ensemble_averages_probabilities_and_maps_of_the_joint_class() -> None:
    members = [member({}), member()]
    first, second = (one(IMAGES) for one in members)
    both = Ensemble(members)(IMAGES)
    assert both.lesion is not None
    assert torch.allclose(both.lesion, (first.lesion + second.lesion) / 2, atol=1e-6)
    for name in ("symmetry", "diagnosis"):
        outputs = first.outputs[name], second.outputs[name]
        mean = sum(one.logits.softmax(1) for one in outputs) / 2
        assert torch.allclose(both.probabilities[name], mean, atol=1e-6)
        maps = [explain(one, mean.argmax(1)) for one in outputs]
        assert torch.allclose(both.saliency[name], (maps[0] + maps[1]) / 2)


@torch.no_grad()
def test_what_images_share_a_batch_does_not_matter() -> None:
    cascade = member()
    together = cascade(IMAGES)
    for number, image in enumerate(IMAGES):
        alone: Pass = cascade(image[None])
        assert alone.lesion is not None
        assert torch.allclose(together.lesion[number], alone.lesion[0], atol=1e-5)
        for name in ("symmetry", "diagnosis"):
            assert torch.allclose(together.outputs[name].logits[number], alone.outputs[name].logits[0], atol=1e-5)
            assert torch.allclose(together.saliency[name][number], alone.saliency[name][0], atol=1e-4)


def test_explained_is_the_target_class_by_default_the_predicted_one() -> None:
    network = Classifier("squeezenet1_1", 3, head="squeezenet").eval().double()
    nn.init.normal_(network.get_parameter("head.conv.weight"))
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    output = network.trace(images)
    assert torch.equal(explain(output), explain(output, output.logits.argmax(1)))
    target = torch.tensor([0, 2])
    layer = network.get_submodule("backbone.body.features.12.expand3x3_activation")
    oracle = autograd_grad_cam_pp(network, layer, images, target)
    assert torch.allclose(explain(output, target), oracle, atol=1e-9)


def test_a_classifier_that_reads_nothing_does_not_depend_on_other_networks() -> None:
    cascade = member({}, mask="none")
    with torch.no_grad():
        before = cascade(IMAGES).outputs["diagnosis"].logits
        for weights in cascade.networks["symmetry"].parameters():
            weights.zero_()
        assert torch.equal(cascade(IMAGES).outputs["diagnosis"].logits, before)


@torch.no_grad()
def test_a_control_is_read_in_place_of_saliency_and_the_same_each_time() -> None:
    cascade = member()
    spec, network = cascade.specs["diagnosis"], cascade.networks["diagnosis"]
    saliency = [torch.rand(3, 1, 4, 6)]
    with_maps = network(IMAGES, saliency)
    for control in Control:
        cascade.specs["diagnosis"] = spec.model_copy(update={"control": control})
        given = [replace_saliency(saliency[0], control, torch.Generator().manual_seed(0))]
        for _ in range(2):
            logits = cascade.classify("diagnosis", IMAGES, saliency).logits
            assert torch.equal(logits, network(IMAGES, given)), control
        assert not torch.allclose(logits, with_maps), control


@torch.no_grad()
def test_flips_average_probabilities_of_an_image_its_mirror_its_flip_and_both() -> None:
    cascade, saliency = member(), torch.rand(3, 1, 4, 6)
    network, upright = cascade.networks["diagnosis"], cascade.classify("diagnosis", IMAGES, [saliency])
    cascade.specs["diagnosis"] = cascade.specs["diagnosis"].model_copy(update={"flips": True})
    turned = cascade.classify("diagnosis", IMAGES, [saliency])
    mirrored = [
        network(torch.flip(IMAGES, axes), [torch.flip(saliency, axes)]).softmax(1) for axes in ((3,), (2,), (2, 3))
    ]
    mean = (upright.logits.softmax(1) + sum(mirrored)) / 4
    assert torch.allclose(turned.logits.softmax(1), mean, atol=1e-6)
    assert torch.equal(turned.activations, upright.activations), "explained is the image as it is"
    assert not torch.allclose(mean, upright.logits.softmax(1), atol=1e-3)


@torch.no_grad()
def test_a_mask_averages_flips_and_keeps_its_largest_region() -> None:
    class Given(nn.Module):
        """Logits that are the red of each image, less what depends on the place."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :1] - torch.linspace(0, 1, images.shape[3])

    spec = SegmenterSpec(architecture="Unet", encoder="tu-test_resnet", flips=True, largest_region=True)
    cascade = Cascade({"lesion": spec}, {"lesion": Given()})  # type: ignore[dict-item]
    images = torch.full((2, 3, 4, 6), -2.0)
    images[0, 0, :2, :2], images[0, 0, 3, 4:], images[1, 0, 1, 1] = 2.0, 2.0, 2.0
    slope = torch.linspace(0, 1, 6)
    expected = (torch.sigmoid(images[:, 0] - slope) + torch.sigmoid(images[:, 0] - slope.flip(0))) / 2
    found = cascade.segment("lesion", images)[:, 0]
    assert (expected[0, 3, 4:] > 0.5).all()
    assert (found[0, 3, 4:] < 0.5).all()
    expected[0, 3, 4:] = 1 - expected[0, 3, 4:]
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found > 0.5).sum((1, 2)).tolist() == [4, 1]


@torch.no_grad()
def test_several_maps_are_handed_on_in_the_order_of_reads() -> None:
    specs = {
        "first": ClassifierSpec(labels="symmetry", backbone="test_resnet"),
        "second": ClassifierSpec(labels="symmetry-binary", backbone="test_resnet"),
        "last": ClassifierSpec(
            labels="ham10000", backbone="test_resnet", reads={"second": Fusion.CONCAT, "first": Fusion.ATTENTION}
        ),
    }
    cascade = build_cascade(specs).eval()
    found, last = cascade(IMAGES), cascade.networks["last"]
    maps = found.saliency["first"], found.saliency["second"]
    assert torch.equal(found.outputs["last"].logits, last(IMAGES, [maps[1], maps[0]]))
    assert not torch.allclose(found.outputs["last"].logits, last(IMAGES, [*maps]), atol=1e-6)
    assert found.lesion is None
    assert Ensemble([cascade])(IMAGES).lesion is None


@torch.no_grad()
def test_a_segmenter_alone_answers_with_the_outline_and_no_distance() -> None:
    cascade = build_cascade({"lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet")}).eval()
    answer = Ensemble([cascade])(IMAGES)
    assert answer.lesion is not None
    assert torch.equal(answer.lesion, cascade.networks["lesion"](IMAGES).sigmoid())
    assert (answer.probabilities, answer.saliency) == ({}, {})
    assert answer.distance.tolist() == [0, 0, 0]


@torch.no_grad()
def test_a_saliency_method_that_a_stranger_registers_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_METHODS", {**methods._METHODS})
    register_saliency("mean-activation", lambda activations, _weight, _gate: activations.mean(1, keepdim=True))
    assert saliency_methods()[0] == "grad-cam++"
    assert saliency_methods()[-1] == "mean-activation"
    cascade = member()
    spec = cascade.specs["symmetry"]
    cascade.specs["symmetry"] = spec.model_copy(update={"saliency": "mean-activation"})
    found = cascade(IMAGES)
    handed_on = found.outputs["symmetry"].activations.mean(1, keepdim=True)
    assert torch.equal(found.saliency["symmetry"], handed_on)
    assert torch.equal(Ensemble([cascade])(IMAGES).saliency["symmetry"], handed_on)
    seen = cascade.look("diagnosis", IMAGES, found.lesion)
    assert torch.equal(found.outputs["diagnosis"].logits, cascade.networks["diagnosis"](seen, [handed_on]))


def test_an_unknown_saliency_method_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"saliency 'guess': unknown; known are grad-cam\+\+"):
        find_saliency("guess")
