import math

import pytest
import torch
from torch import nn

from selcn.config import ClassificationSection, SegmentationSection
from selcn.models.build import build_network
from selcn.training.optimisers import build_optimiser, build_schedule, rate


def test_rates_at_their_ends_and_in_between() -> None:
    assert [rate("constant", 0, 10)(step) for step in (0, 5, 10)] == [1, 1, 1]
    assert rate("poly", 0, 10)(5) == pytest.approx(0.5**0.9)
    assert rate("poly", 0, 10)(10) == 0
    assert rate("cosine", 0, 10)(5) == pytest.approx(0.5)
    assert rate("cosine", 0, 12)(4) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)


def test_warm_up_rises_evenly_to_the_full_rate_and_the_schedule_begins_behind_it() -> None:
    factor = rate("cosine", 4, 12)
    assert [factor(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert factor(8) == pytest.approx(0.5)


def test_poly_equals_torchs_own() -> None:
    weights = nn.Linear(2, 2)
    one, other = (torch.optim.SGD(weights.parameters(), lr=0.1) for _ in range(2))
    own = build_schedule(one, SegmentationSection(schedule="poly"), 7)
    torchs = torch.optim.lr_scheduler.PolynomialLR(other, 7, power=0.9)
    for _ in range(7):
        one.step()
        other.step()
        own.step()
        torchs.step()
        assert own.get_last_lr()[0] == pytest.approx(torchs.get_last_lr()[0])


def test_adamw_decays_weights_but_neither_biases_nor_norms() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    decayed, spared = build_optimiser(network, SegmentationSection(optimiser="adamw", weight_decay=0.1)).param_groups
    assert [tuple(one.shape) for one in decayed["params"]] == [(3, 3)]
    assert len(spared["params"]) == 3
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0)


def rates(network: nn.Module, **keys: object) -> dict[str, float]:
    """The learning rate of each parameter by its name."""
    section = SegmentationSection.model_validate({"lr": 1.0, "layer_decay": 0.5, **keys})
    optimiser = build_optimiser(network, section)
    found = {id(one): group["lr"] for group in optimiser.param_groups for one in group["params"]}
    named = {name: found[id(one)] for name, one in network.named_parameters()}
    assert len(found) == len(named), "each parameter is in one group"
    return named


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_learning_rates_fall_from_stage_to_stage_towards_the_input(optimiser: str) -> None:
    reads = {"symmetry": "concat"}
    spec = ClassificationSection(labels="symmetry", backbone="resnet10t", reads=reads).spec
    found = rates(build_network(spec), optimiser=optimiser)
    body = "backbone.body.network."
    stem = ("conv1.0.weight", "bn1.bias")
    for place, names in enumerate([stem, ("layer1.",), ("layer2.",), ("layer3.",), ("layer4.",)]):
        chosen = [rate for name, rate in found.items() if name.removeprefix(body).startswith(names)]
        assert chosen
        assert set(chosen) == {0.5 ** (5 - place)}, names
    assert {rate for name, rate in found.items() if name.startswith(("head", "fuse"))} == {1}


def test_a_backbone_that_ends_early_has_the_stages_that_are_left() -> None:
    found = rates(build_network(ClassificationSection(labels="symmetry", backbone="resnet10t", reduction=16).spec))
    last = {rate for name, rate in found.items() if ".layer3" in name}
    first = {rate for name, rate in found.items() if ".conv1.0" in name and ".layer" not in name}
    assert not any(".layer4" in name for name in found)
    assert (last, first) == ({0.5}, {0.5**4})


def test_a_squeezenet_and_an_encoder_have_stages_too() -> None:
    squeezenet = rates(build_network(ClassificationSection(labels="symmetry", backbone="squeezenet1_1").spec))
    # A convolution and eight Fire modules, of which the last is one step below the head.
    assert squeezenet["backbone.body.features.0.weight"] == 0.5**9
    assert squeezenet["backbone.body.features.3.squeeze.weight"] == 0.5**8
    assert squeezenet["backbone.body.features.12.expand3x3.bias"] == 0.5
    assert squeezenet["head.linear.weight"] == 1
    segmenter = rates(build_network(SegmentationSection(architecture="Unet", encoder="tu-test_resnet").spec))
    encoder = {rate for name, rate in segmenter.items() if name.startswith("network.encoder")}
    assert max(encoder) == 0.5
    assert len(encoder) > 3
    assert {rate for name, rate in segmenter.items() if not name.startswith("network.encoder")} == {1}


def test_one_cycle_reaches_each_groups_own_rate() -> None:
    network = build_network(ClassificationSection(labels="symmetry", backbone="resnet10t").spec)
    section = SegmentationSection(lr=0.1, layer_decay=0.5, schedule="one-cycle")
    optimiser = build_optimiser(network, section)
    schedule = build_schedule(optimiser, section, 10)
    seen = []
    for _ in range(9):
        seen.append(schedule.get_last_lr())
        optimiser.step()
        schedule.step()
    assert [max(one) for one in zip(*seen, strict=True)] == pytest.approx(
        [0.1 * 0.5**power for power in range(5, -1, -1)]
    )
