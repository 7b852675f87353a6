import pytest
import torch
from torch import nn

from selcn.labels import Fusion, Masking
from selcn.models.cascade import Cascade, Ensemble, explain
from selcn.models.classifier import LesionClassifier
from selcn.models.masking import apply_masking
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork
from selcn.saliency.gradcam_pp import autograd_grad_cam_pp


def member(
    fusion: Fusion = Fusion.CONCAT, cam_mask: Masking = Masking.LAE, mask: Masking = Masking.SEGMENTATION
) -> Cascade:
    cascade = Cascade(
        Segmenter("Unet", "tu-mobilenetv3_small_050"),
        SymmetryNetwork("squeezenet1_1", 2),
        LesionClassifier("resnet10t", fusion=fusion),
        cam_mask,
        mask,
    ).eval()
    # Random weights say "half" everywhere; larger ones give masks, maps and classes that differ.
    for network in (cascade.symmetry, cascade.classifier):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d) and layer in list(network.head.children()):
                nn.init.normal_(layer.weight)
    return cascade


@torch.no_grad()
@pytest.mark.parametrize("mask", Masking)
def test_a_cascade_is_its_stages_one_after_the_other(mask: Masking) -> None:
    cascade = member(mask=mask)
    images = torch.rand(2, 3, 64, 96)
    output = cascade(images)

    lesion = cascade.segmenter(images).sigmoid()
    seen = apply_masking(images, lesion > 0.5, Masking.LAE)
    saliency = explain(cascade.symmetry.trace(seen))
    logits = cascade.classifier(apply_masking(images, lesion > 0.5, mask), saliency)
    assert torch.equal(output.lesion, lesion)
    assert torch.allclose(output.symmetry, cascade.symmetry(seen).softmax(1))
    assert torch.equal(output.symmetry_saliency, saliency)
    assert torch.allclose(output.diagnosis, logits.softmax(1))


@torch.no_grad()
def test_an_ensemble_averages_probabilities_and_maps_of_the_joint_diagnosis() -> None:
    members = [member(Fusion.NONE), member()]
    images = torch.rand(3, 3, 64, 96)
    first, second, both = members[0](images), members[1](images), Ensemble(members)(images)
    for name in ("lesion", "symmetry", "diagnosis"):
        assert torch.allclose(getattr(both, name), (getattr(first, name) + getattr(second, name)) / 2, atol=1e-6)
    _, symmetries, diagnoses = zip(*(network.trace(images) for network in members), strict=True)
    for traces, said, shown in (
        (symmetries, both.symmetry, both.symmetry_saliency),
        (diagnoses, both.diagnosis, both.diagnosis_saliency),
    ):
        maps = [explain(trace, said.argmax(1)) for trace in traces]
        assert torch.allclose(shown, (maps[0] + maps[1]) / 2)


@torch.no_grad()
def test_what_images_share_a_batch_does_not_matter() -> None:
    cascade = member()
    images = torch.rand(3, 3, 64, 96)
    together = cascade(images)
    alone = [cascade(image[None]) for image in images]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.allclose(whole, torch.cat(parts), atol=1e-5)


def test_explained_is_the_target_class_by_default_the_predicted_one() -> None:
    network = SymmetryNetwork("squeezenet1_1", 3).eval().double()
    nn.init.normal_(network.get_parameter("head.conv.weight"))
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    trace = network.trace(images)
    assert torch.equal(explain(trace), explain(trace, trace.logits.argmax(1)))
    target = torch.tensor([0, 2])
    layer = network.get_submodule("backbone.body.features.12.expand3x3_activation")
    oracle = autograd_grad_cam_pp(network, layer, images, target)
    assert torch.allclose(explain(trace, target), oracle, atol=1e-9)


def test_a_standalone_classifier_does_not_depend_on_the_symmetry_network() -> None:
    cascade = member(Fusion.NONE, mask=Masking.NONE)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = cascade(images).diagnosis
        for weights in cascade.symmetry.parameters():
            weights.zero_()
        assert torch.equal(cascade(images).diagnosis, before)
