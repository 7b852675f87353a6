import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from selcn.config import FULL, ClassifierSpec, RunConfig, changed_config, dump_config, load_config, presets
from selcn.errors import ConfigError
from selcn.labels import HAM10000, NO_MASKING, Fusion

MINIMAL = """
data: {source: phantom}
networks:
  lesion: {task: segmentation}
  symmetry: {task: classification, labels: symmetry-binary}
  diagnosis: {task: classification, labels: ham10000, reads: {symmetry: concat}}
"""
ROOT = Path(__file__).parents[2]
CONFIGS = [*sorted((ROOT / "configs").glob("*.yaml")), ROOT / "tests" / "slurm" / "grid.yaml"]


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
def test_the_configs_of_the_repository_are_valid(path: Path, tiny_run: Path) -> None:
    takes = path.is_file() and "from: runs/" in path.read_text()
    bundle = [f"networks.lesion.from={tiny_run / 'bundle'}"] if takes else []  # that of another run
    assert isinstance(load_config(path, bundle), RunConfig)


def test_a_resolved_configuration_needs_no_bundle_that_networks_were_taken_from(tiny_run: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_run / "bundle", tmp_path / "bundle"))
    taken = {name: {"from": str(bundle)} for name in ("lesion", "symmetry")}
    text = yaml.safe_dump({"data": {"source": "phantom"}, "networks": taken, "target": "symmetry"})
    config = load_config(written(tmp_path, text))
    shutil.rmtree(bundle)
    assert load_config(written(tmp_path, dump_config(config))) == config
    with pytest.raises(ConfigError, match="is no bundle"):
        load_config(written(tmp_path, text))


def test_overrides_reach_nested_keys_and_lists_and_networks_by_their_name(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    keys = ["networks.diagnosis.epochs=3", "prepare.size=[64, 48]", "symmetry.augment.flip=false", "lesion.epochs=1"]
    config = load_config(path, keys)
    assert {name: section.epochs for name, section in config.networks.items()} == {
        "lesion": 1,
        "symmetry": 100,
        "diagnosis": 3,
    }
    assert config.prepare.size == (64, 48)
    assert not config.networks["symmetry"].augment.flip
    assert config.networks["diagnosis"].augment.flip


def test_an_override_means_a_section_before_a_network_of_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, changed(split={}))
    config = load_config(path, ["split.folds=4", "networks.split.epochs=2"])
    assert (config.split.folds, config.networks["split"].epochs) == (4, 2)


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
        (changed(diagnosis={"reads": {"streaks": "concat"}}), "diagnosis reads streaks, which is no network"),
        (changed(symmetry={"reads": {"diagnosis": "concat"}}), "reads .*: a circle; remove one"),
        (changed(lesion={"decoder": [8, 8, 8, 8, 8]}), "decoder goes with the architectures unet"),
        (changed(lesion={"architecture": "Unet", "decoder": [8, 8, 8]}), r"lesion\.decoder"),
        (changed(lesion=None, symmetry={"masking": "lae"}), "masking lae, which needs a segmentation network; add one"),
        (changed(other={"task": "segmentation", "labels": None}), "unknown key networks.other.labels"),
        (changed(diagnosis={"control": "zero", "reads": {}}), "control stands in place of saliency"),
        (changed(diagnosis={"fusion_start": "random", "reads": {}}), "goes with reads by concat"),
        (
            changed(diagnosis={"fusion_start": "random", "reads": {"symmetry": "attention"}}),
            "goes with reads by concat",
        ),
        (changed(symmetry={"head": "squeezenet"}), "head squeezenet goes with a SqueezeNet backbone"),
        (
            changed(symmetry={"adjusted": True, "weighted": True}),
            "adjusted evens classes out by itself; leave weighted",
        ),
        (changed(symmetry={"adjusted": True, "balance": 9}), "adjusted evens classes out by itself; leave weighted"),
        (
            changed(symmetry={"adjusted": True, "by_masking": {"none": {"weighted": True}}}),
            "adjusted evens classes out by itself; leave weighted",
        ),
        (
            changed(symmetry={"adjusted": True, "backbone": "mirror"}),
            "backbone mirror is fitted; take weighted in place",
        ),
        (changed(symmetry={"reduction": 16, "backbone": "mirror"}), "flips, masking and reduction out"),
        (changed(symmetry={"labels": "symmetri"}), "unknown label set 'symmetri'; known are .*symmetry-binary"),
        (changed(symmetry={"labels": [True, False]}), "a class is called True; put yes, no, .* in quotes"),
        (changed(symmetry={"labels": ["a"]}), "has 1 classes; give at least 2"),
        (changed(symmetry={"labels": ["a", "a"]}), "'a' is empty or stands for two classes"),
        (MINIMAL + "compare: {symmetry: [zero]}", "symmetry reads no saliency, so that it has no zero twin"),
        (MINIMAL + "compare: {streaks: [zero]}", "compare: streaks is no network of this run"),
        (MINIMAL + "target: streaks", "target: streaks is no network of this run"),
        (
            changed(segmentation={"epochs": 0}),
            r"networks\.segmentation\.epochs: .*greater than or equal to 1 \(given: 0\)",
        ),
        (MINIMAL + "lesions: 3", r"run\.yaml: unknown key lesions \(did you mean lesion"),
        (MINIMAL + "networks: {Lesion: {task: segmentation}}", "network 'Lesion': begin with a lower case letter"),
    ],
)
def test_a_wrong_config_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert ": :" not in str(caught.value)


OLD: dict[str, object] = {
    "segmentation": {"epochs": 3},
    "symmetry": {"backbone": "squeezenet1_1"},
    "classification": {"variants": [{"fusion": "none"}]},
}


@pytest.mark.parametrize("keys", [*([key] for key in OLD), list(OLD)])
@pytest.mark.parametrize("networks", [True, False], ids=["beside networks", "alone"])
def test_keys_of_the_first_version_are_refused_in_one_line(tmp_path: Path, keys: list[str], networks: bool) -> None:
    tree = {"data": {"source": "phantom"}, **{key: OLD[key] for key in keys}}
    path = written(tmp_path, yaml.safe_dump({**yaml.safe_load(MINIMAL), **tree} if networks else tree))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"{path}: {', '.join(sorted(keys))} are keys of an earlier selcn; list the networks below `networks`, as "
        "`selcn config show light` does"
    )


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


def test_a_specification_holds_no_training_and_writes_its_labels_out() -> None:
    spec = ClassifierSpec(labels="ham10000", backbone="resnet10t")
    assert spec.model_dump(mode="json")["labels"] == "ham10000"
    tree = spec.model_dump(mode="json", context={FULL: True})
    assert [one["name"] for one in tree["labels"]["classes"]] == HAM10000.names
    assert ClassifierSpec.model_validate(tree) == spec
    assert not {"lr", "epochs", "weights", "dropout"} & tree.keys()


OWN = """
  streaks:
    task: classification
    labels:
      name: streaks
      column: pattern
      ordinal: true
      classes: [absent, {name: present, long_name: radial streaks, malignant: true, aliases: [regular, "1"]}]
  shape: {task: classification, labels: ["no", "yes"]}
"""


def test_own_label_sets_are_read_written_and_read_back_alike(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL + OWN))
    streaks, shape = (config.graph.classifiers[name].labels for name in ("streaks", "shape"))
    assert (streaks.name, streaks.column, streaks.ordinal) == ("streaks", "pattern", True)
    assert streaks.numbers(["absent", "regular", "1", "present", "irregular", ""]) == [0, 1, 1, 1, -1, -1]
    assert (streaks.malignant, streaks.long_name("present")) == (["present"], "radial streaks")
    assert (shape.names, shape.column, shape.malignant) == (["no", "yes"], "diagnosis", [])
    text = dump_config(config)
    assert load_config(written(tmp_path, text)) == config
    dumped = yaml.safe_load(text)["networks"]
    assert (dumped["symmetry"]["labels"], dumped["diagnosis"]["labels"]) == ("symmetry-binary", "ham10000")
    full = config.graph.classifiers["streaks"].spec.model_dump(mode="json", context={FULL: True})
    assert ClassifierSpec.model_validate(full).labels == streaks


def test_a_set_that_only_bears_a_built_in_name_keeps_its_own_classes(tmp_path: Path) -> None:
    labels = {"name": "ham10000", "classes": ["mel", "nv"]}
    config = load_config(written(tmp_path, changed(diagnosis={"labels": labels})))
    again = load_config(written(tmp_path, dump_config(config)))
    assert again.graph.classifiers["diagnosis"].labels.names == ["mel", "nv"]


def test_a_changed_configuration_is_validated_and_has_a_graph_of_its_own(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MINIMAL))
    assert config.graph.target == "diagnosis"
    networks = {name: section for name, section in config.networks.items() if name != "diagnosis"}
    assert changed_config(config, networks=networks).graph.target == "symmetry"
    assert changed_config(config, seed=3) == load_config(written(tmp_path, MINIMAL + "seed: 3"))
    with pytest.raises(ConfigError, match=r"^diagnosis reads symmetry, which is no network of this run"):
        changed_config(config, networks={"diagnosis": config.networks["diagnosis"]})
    with pytest.raises(ConfigError, match=r"^seed: .*integer.* \(given: 'x'\); resamples: "):
        changed_config(config, seed="x", resamples=3)
