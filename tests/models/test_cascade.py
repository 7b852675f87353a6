import pytest
import torch
from torch import nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.inference.assembly import build_cascade
from selcn.labels import Fusion
from selcn.models.cascade import Cascade, Ensemble, Pass, explain
from selcn.models.classifier import Classifier
from selcn.models.masking import apply_masking
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
def test_a_saliency_method_that_a_stranger_registers_is_handed_on() -> None:
    register_saliency("mean-activation", lambda activations, _weight, _gate: activations.mean(1, keepdim=True))
    assert saliency_methods()[0] == "grad-cam++"
    cascade = member()
    spec = cascade.specs["symmetry"]
    cascade.specs["symmetry"] = spec.model_copy(update={"saliency": "mean-activation"})
    found = cascade(IMAGES)
    assert torch.equal(found.saliency["symmetry"], found.outputs["symmetry"].activations.mean(1, keepdim=True))
    assert find_saliency("mean-activation")
