from pathlib import Path

import pytest

from selcn.config import RunConfig
from selcn.errors import ConfigError
from selcn.labels import Masking, StageName
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


def test_values_go_to_the_recipe_of_their_masking_or_to_the_section(tiny_config: RunConfig) -> None:
    values = {"lr": 0.5, "label_smoothing": 0.1}
    config = configured(tiny_config, StageName.SYMMETRY, values, Masking.LAE, None)
    assert config.symmetry.of(Masking.LAE).lr == 0.5
    assert config.symmetry.of(Masking.NONE).lr == tiny_config.symmetry.lr
    assert config.symmetry.label_smoothing == 0.1
    assert configured(tiny_config, StageName.SEGMENTATION, {"lr": 0.5}, None, None).segmentation.lr == 0.5


def test_keys_and_values_that_the_stage_refuses_are_named(tiny_config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="segmentation has no key weighted"):
        configured(tiny_config, StageName.SEGMENTATION, {"weighted": True}, None, None)
    with pytest.raises(ConfigError, match=r"symmetry.by_mask.lae.lr: .*greater than 0"):
        configured(tiny_config, StageName.SYMMETRY, {"lr": -1.0}, Masking.LAE, None)


@pytest.mark.parametrize("stage", list(StageName))
def test_the_thesis_ranges_fit_their_stage(stage: StageName, tiny_config: RunConfig) -> None:
    lowest = {key: one.choices[0] if one.choices else one.low for key, one in thesis_space(stage).items()}
    config = configured(tiny_config, stage, lowest, Masking.NONE, "none")
    assert config != tiny_config
