from pathlib import Path

import pytest

from selcn.config import ClassificationSection, RunConfig, changed_config
from selcn.errors import ConfigError
from selcn.runs.tuning.space import configured, read_space, thesis_space


def test_a_space_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("lr: {low: 1.0e-5, high: 1.0e-2, scale: log}\nbatch: {choices: [8, 16]}\n")
    space = read_space(path)
    assert space["lr"].scale == "log"
    assert space["batch"].choices == (8, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: {low: 1}", "lr: give low and high, or choices"),
        ("lr: {low: 2, high: 1}\nbatch: {}", "lr: low 2.0 is above high 1.0; batch: give low"),
        ("lr: {low: 0, high: 1, scale: log}", "a log scale begins above 0"),
        ("[]", "holds no ranges"),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_spaces_name_all_their_faults(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_space(path)


def test_values_go_to_the_recipe_that_decides_or_to_the_section(tiny_config: RunConfig) -> None:
    tree = tiny_config.model_dump(mode="json")
    tree["networks"]["symmetry"]["by_masking"] = {"none": {"batch": 4}}
    config = RunConfig.model_validate(tree)
    values = {"lr": 0.5, "label_smoothing": 0.1}
    found = configured(config, "symmetry", values)
    assert found.graph.classifiers["symmetry"].lr == 0.5
    assert found.networks["symmetry"].lr == config.networks["symmetry"].lr, "the recipe decides"
    assert found.graph.classifiers["symmetry"].label_smoothing == 0.1
    assert configured(config, "lesion", {"lr": 0.5}).networks["lesion"].lr == 0.5
    twin = configured(config, "diagnosis-standalone", {"lr": 0.5}).graph.classifiers
    assert twin["diagnosis-standalone"].lr == 0.5
    assert twin["diagnosis"].lr == config.graph.classifiers["diagnosis"].lr


def test_keys_and_values_that_the_network_refuses_are_named(tiny_config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="lesion has no key weighted"):
        configured(tiny_config, "lesion", {"weighted": True})
    with pytest.raises(ConfigError, match=r"^networks.symmetry.lr: .*greater than 0 \(given: -1.0\)$"):
        configured(tiny_config, "symmetry", {"lr": -1.0})


def test_what_stored_features_depend_on_is_not_searched(tiny_config: RunConfig) -> None:
    frozen = {"labels": "ham10000", "backbone": "test_resnet", "freeze": True, "weights": "imagenet"}
    section = ClassificationSection.model_validate(frozen)
    config = changed_config(tiny_config, networks={"probe": section}, compare={}, target="probe")
    assert configured(config, "probe", {"lr": 0.5}).graph.classifiers["probe"].lr == 0.5
    with pytest.raises(ConfigError, match=r"network probe: is frozen, .*; leave size, weights out"):
        configured(config, "probe", {"weights": "a.safetensors", "size": [64, 64], "lr": 0.1})


@pytest.mark.parametrize("network", ["lesion", "symmetry", "diagnosis"])
def test_the_thesis_ranges_fit_their_network(network: str, tiny_config: RunConfig) -> None:
    space = thesis_space(tiny_config.graph.nodes[network].section)
    lowest = {key: one.choices[0] if one.choices else one.low for key, one in space.items()}
    assert configured(tiny_config, network, lowest) != tiny_config
