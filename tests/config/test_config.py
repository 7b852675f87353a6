from pathlib import Path
from typing import Any

import pytest
import yaml

from selcn.config import FULL, ClassifierSpec, RunConfig, dump_config, grid_config, load_config, presets
from selcn.errors import ConfigError
from selcn.labels import HAM10000, NO_MASKING, Fusion

MINIMAL = """
data: {source: phantom}
networks:
  lesion: {task: segmentation}
  symmetry: {task: classification, labels: symmetry-binary}
  diagnosis: {task: classification, labels: ham10000, reads: {symmetry: concat}}
"""
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def changed(**networks: Any) -> str:
    """MINIMAL with some keys of its networks changed; None removes a network."""
    tree = yaml.safe_load(MINIMAL)
    for name, keys in networks.items():
        if keys is None:
            del tree["networks"][name]
        else:
            tree["networks"].setdefault(name, {"task": "classification", "labels": ["a", "b"]}).update(keys)
    return yaml.safe_dump(tree)


def test_defaults_are_written_out_and_read_back_alike(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    assert load_config(written(tmp_path, dump_config(config))) == config


@pytest.mark.parametrize("path", [*CONFIGS, *map(Path, presets())], ids=lambda path: path.stem)
def test_the_configs_of_the_repository_are_valid(path: Path) -> None:
    assert isinstance(load_config(path), RunConfig)


def test_overrides_reach_nested_keys_and_lists_and_networks_by_their_name(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    config = load_config(path, ["networks.diagnosis.epochs=3", "prepare.size=[64, 48]", "symmetry.augment.flip=false"])
    assert config.networks["diagnosis"].epochs == 3
    assert config.prepare.size == (64, 48)
    assert not config.networks["symmetry"].augment.flip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(symmetry={"lrr": 1}), r"run\.yaml: unknown key networks\.symmetry\.lrr \(did you mean lr\?\); remove"),
        (changed(symmetry={"lr": -1}), r"networks\.symmetry\.lr: .*greater than 0 \(given: -1\)"),
        (changed(symmetry={"lr": -1, "epochs": 0}), r"symmetry\.epochs: .*; networks\.symmetry\.lr: "),
        (MINIMAL.replace("source: phantom", "source: ham1000"), "data: .*'phantom', 'ham10000', 'catalog'"),
        (MINIMAL.replace("data: {source: phantom}", "seed: 1"), "key data is missing; add it"),
        ("- 1", "holds no keys"),
        ("a: [", "not valid YAML"),
        (changed(diagnosis={"reads": {"streaks": "concat"}}), "diagnosis reads streaks, which is no classification"),
        (changed(diagnosis={"reads": {"lesion": "concat"}}), "diagnosis reads lesion, which is no classification"),
        (changed(symmetry={"reads": {"diagnosis": "concat"}}), "reads .*: a circle; remove one"),
        (changed(lesion=None, symmetry={"masking": "lae"}), "masking lae, which needs a segmentation network; add one"),
        (changed(other={"task": "segmentation", "labels": None}), "unknown key networks.other.labels"),
        (changed(diagnosis={"control": "zero", "reads": {}}), "control stands in place of saliency"),
        (changed(symmetry={"head": "squeezenet"}), "head squeezenet goes with a SqueezeNet backbone"),
        (changed(symmetry={"labels": "symmetri"}), "unknown label set 'symmetri'; known are .*symmetry-binary"),
        (changed(symmetry={"labels": ["a"]}), "has 1 classes; give at least 2"),
        (changed(symmetry={"labels": ["a", "a"]}), "'a' is empty or stands for two classes"),
        (MINIMAL + "compare: {symmetry: [zero]}", "symmetry reads no saliency, so that it has no zero twin"),
        (MINIMAL + "compare: {streaks: [zero]}", "compare: streaks is no network of this run"),
        (MINIMAL + "target: streaks", "target: streaks is no network of this run"),
        (MINIMAL + "segmentation: {epochs: 3}", "segmentation are keys of selcn 0.1; list the networks"),
        (MINIMAL + "networks: {Lesion: {task: segmentation}}", "network 'Lesion': begin with a lower case letter"),
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


def test_maskings_and_fusions_parse_in_any_case_and_none_is_a_masking(tmp_path: Path) -> None:
    text = changed(diagnosis={"masking": "LAE", "reads": {"symmetry": "Concat"}}, symmetry={"masking": "None"})
    networks = load_config(written(tmp_path, text)).graph.classifiers
    assert networks["diagnosis"].masking == "lae"
    assert networks["diagnosis"].reads == {"symmetry": Fusion.CONCAT}
    assert networks["symmetry"].masking == NO_MASKING


def test_recipes_decide_by_masking_and_fusion_and_for_twins(tmp_path: Path) -> None:
    recipes = {"by_masking": {"lae": {"batch": 4}}, "by_fusion": {"none": {"lr": 0.1}, "concat": {"lr": 0.2}}}
    text = changed(diagnosis={**recipes, "masking": "lae"}) + "compare: {diagnosis: [standalone, shuffled]}"
    nodes = load_config(written(tmp_path, text)).graph.nodes
    found = {
        name: (node.section.lr, node.section.batch) for name, node in nodes.items() if name.startswith("diagnosis")
    }
    assert found == {"diagnosis": (0.2, 4), "diagnosis-standalone": (0.1, 4), "diagnosis-shuffled": (0.2, 4)}


def test_networks_come_behind_what_they_need(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "networks:", "networks:\n  last: {task: classification, labels: [a, b], reads: {diagnosis: concat}}"
    )
    graph = load_config(written(tmp_path, text)).graph
    assert list(graph.nodes) == ["lesion", "symmetry", "diagnosis", "last"]
    assert graph.target == "last"
    assert graph.with_needs("diagnosis") == ["symmetry", "diagnosis"]
    assert graph.needs("diagnosis") == ("symmetry",)
    assert graph.is_read("diagnosis")
    assert not graph.is_read("last")


def test_a_bundle_holds_what_its_target_needs_and_other_criteria_but_no_rival(tmp_path: Path) -> None:
    text = (
        changed(streaks={}, diagnosis={"masking": "lae"})
        + "compare: {diagnosis: [standalone, zero]}\ntarget: diagnosis"
    )
    graph = load_config(written(tmp_path, text)).graph
    assert graph.bundled("diagnosis") == ["lesion", "symmetry", "diagnosis"]
    assert graph.bundled("diagnosis-standalone") == ["lesion", "symmetry", "diagnosis-standalone"]
    assert graph.bundled("streaks") == ["lesion", "symmetry", "diagnosis", "streaks"]
    assert graph.bundled("lesion") == ["lesion"]
    assert graph.pairs() == [
        ("diagnosis-standalone", "diagnosis"),
        ("diagnosis-standalone", "diagnosis-zero"),
        ("diagnosis-zero", "diagnosis"),
    ]


def test_the_grid_is_the_product_of_maskings(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    for options, classifiers in (({}, 12), ({"attention": True}, 21), ({"attention": True, "controls": True}, 30)):
        graph = grid_config(config, **options).graph
        names = [name for name in graph.classifiers if name.startswith("diagnosis-")]
        assert len(names) == classifiers
        assert [name for name in graph.classifiers if name not in names] == [
            "symmetry-none",
            "symmetry-segmentation",
            "symmetry-lae",
        ]
        assert graph.target == "diagnosis-none-none"
        assert len(graph.pairs()) == classifiers - 3
    mixed = graph.classifiers["diagnosis-segmentation-lae"]
    assert (mixed.masking, mixed.reads) == ("segmentation", {"symmetry-lae": Fusion.CONCAT})
    assert graph.bundled(graph.target) == ["lesion", "symmetry-none", "diagnosis-none-none"]
    with pytest.raises(ConfigError, match="a grid needs a target that reads the saliency of one network"):
        grid_config(load_config(written(tmp_path, changed(diagnosis={"reads": {}}))))


def test_a_specification_holds_no_training_and_writes_its_labels_out() -> None:
    spec = ClassifierSpec(labels="ham10000", backbone="resnet10t")
    assert spec.model_dump(mode="json")["labels"] == "ham10000"
    tree = spec.model_dump(mode="json", context={FULL: True})
    assert [one["name"] for one in tree["labels"]["classes"]] == HAM10000.names
    assert ClassifierSpec.model_validate(tree) == spec
    assert not {"lr", "epochs", "weights", "dropout"} & tree.keys()
