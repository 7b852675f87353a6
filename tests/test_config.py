from pathlib import Path

import pytest

from selcn.config import RunConfig, dump_config, load_config
from selcn.errors import ConfigError
from selcn.labels import Fusion, Masking

MINIMAL = "data: {source: phantom}\n"
CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_defaults_are_written_out_and_read_back_alike(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    assert load_config(written(tmp_path, dump_config(config))) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_of_the_repository_are_valid(path: Path) -> None:
    assert isinstance(load_config(path), RunConfig)


def test_overrides_reach_nested_keys_and_lists(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    config = load_config(path, ["classification.epochs=3", "prepare.size=[64, 48]", "symmetry.augment.flip=false"])
    assert config.classification.epochs == 3
    assert config.prepare.size == (64, 48)
    assert not config.symmetry.augment.flip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "symmetry: {lrr: 1}", r"run\.yaml: unknown key symmetry\.lrr \(did you mean lr\?\); remove it"),
        (MINIMAL + "symmetry: {lr: -1}", r"symmetry\.lr: .*greater than 0 \(given: -1\)"),
        (MINIMAL + "symmetry: {lr: -1, classes: 5}", r"symmetry\.lr: .*; symmetry\.classes: "),
        ("data: {source: ham1000}", "data: .*'phantom', 'ham10000', 'catalog'"),
        ("seed: 1", "key data is missing; add it"),
        ("- 1", "holds no keys"),
        ("a: [", "not valid YAML"),
        (MINIMAL + "classification: {variants: [{fusion: concat}]}", "cam_mask goes with fusion concat or attention"),
        (MINIMAL + "classification: {variants: [{}, {}]}", "variants are listed twice: standalone-none"),
    ],
)
def test_a_wrong_config_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["seed", "=1", "seed.x=1", "seed=[1"])
def test_a_wrong_override_names_itself(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(written(tmp_path, MINIMAL + "seed: 1"), [override])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file and no preset"):
        load_config(tmp_path / "absent.yaml")


def test_maskings_parse_in_any_case_and_none_is_a_masking(tmp_path: Path) -> None:
    text = MINIMAL + "classification: {variants: [{fusion: concat, mask: LAE, cam_mask: None}]}"
    (variant,) = load_config(written(tmp_path, text)).classification.variants
    assert (variant.fusion, variant.mask, variant.cam_mask) == (Fusion.CONCAT, Masking.LAE, Masking.NONE)
    assert variant.name == "se-lcn-lae-none"


def test_symmetry_networks_are_wanted_for_the_saliency_that_is_read(tmp_path: Path) -> None:
    text = MINIMAL + "classification: {variants: [{mask: none}, {fusion: attention, cam_mask: lae}]}"
    assert load_config(written(tmp_path, text)).cam_masks == [Masking.LAE]
    assert load_config(written(tmp_path, MINIMAL + "classification: {variants: [{mask: lae}]}")).cam_masks == [
        Masking.NONE
    ]
