"""Classifiers as state dicts of their libraries."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from selcn.config import ClassifierSpec
from selcn.errors import ConfigError
from selcn.models.build import build_network
from selcn.models.classifier import Classifier
from selcn.models.plain import plain_state


def classifier(backbone: str, **keys: object) -> tuple[Classifier, ClassifierSpec]:
    spec = ClassifierSpec.model_validate({"labels": "symmetry", "backbone": backbone, **keys})
    network = build_network(spec)
    assert isinstance(network, Classifier)
    for module in network.modules():  # statistics that a training would have left
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]  # never None here
    return network.eval(), spec


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("test_resnet", "linear"), ("test_efficientnet", "linear"), ("squeezenet1_1", "squeezenet")],
)
def test_the_librarys_own_network_gives_the_same_logits(backbone: str, head: str) -> None:
    network, spec = classifier(backbone, head=head)
    create = timm.create_model if head == "linear" else torchvision.models.get_model
    plain = create(backbone, num_classes=3)
    plain.load_state_dict(plain_state(network, spec))
    images = torch.rand(2, 3, 64, 80)
    with torch.no_grad():
        assert torch.allclose(plain.eval()(network.backbone.normalise(images)), network(images), atol=1e-5)


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_050", "convnext_atto", "squeezenet1_1"])
def test_other_layers_behind_the_features_are_refused(backbone: str) -> None:
    with pytest.raises(ConfigError, match=f"the library's own {backbone} has other layers behind its features"):
        plain_state(*classifier(backbone))
