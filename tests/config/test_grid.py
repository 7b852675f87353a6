"""The grid as one configuration: the product of maskings of a target and of what it reads."""

from itertools import product
from typing import Any

import pytest

from selcn.config import RunConfig, grid_config
from selcn.errors import ConfigError
from selcn.labels import Control, Fusion

MASKINGS = ("none", "segmentation", "lae")


def config_of(target: str | None = None, **networks: object) -> RunConfig:
    """A cascade with some of its networks replaced; None removes one."""
    cascade: dict[str, object] = {
        "lesion": {"task": "segmentation"},
        "symmetry": {"task": "classification", "labels": "symmetry-binary", "epochs": 7},
        "diagnosis": {"task": "classification", "labels": "ham10000", "reads": {"symmetry": "concat"}, "epochs": 5},
    }
    chosen = {name: section for name, section in {**cascade, **networks}.items() if section}
    return RunConfig.model_validate({"data": {"source": "phantom"}, "networks": chosen, "target": target})


def test_twelve_networks_are_three_standalone_and_nine_that_read() -> None:
    graph = grid_config(config_of()).graph
    found = {name: section for name, section in graph.classifiers.items() if name.startswith("diagnosis")}
    alone: dict[str, object] = {f"diagnosis-{mask}": (mask, {}) for mask in MASKINGS}
    reading = {
        f"diagnosis-{mask}-{read}": (mask, {f"symmetry-{read}": Fusion.CONCAT})
        for mask, read in product(MASKINGS, MASKINGS)
    }
    assert {name: (section.masking, section.reads) for name, section in found.items()} == {**alone, **reading}
    assert len(found) == 12
    symmetries = {name: section.masking for name, section in graph.classifiers.items() if name not in found}
    assert symmetries == {f"symmetry-{mask}": mask for mask in MASKINGS}
    assert {section.epochs for section in found.values()} == {5}
    assert graph.target == "diagnosis-none-none"
    assert graph.bundled(graph.target) == ["lesion", "symmetry-none", "diagnosis-none-none"]
    assert set(graph.pairs()) == {
        (f"diagnosis-{mask}", f"diagnosis-{mask}-{read}") for mask, read in product(*2 * [MASKINGS])
    }


def test_attention_makes_twenty_one_and_controls_thirty() -> None:
    graph = grid_config(config_of(), attention=True).graph
    names = [name for name in graph.classifiers if name.startswith("diagnosis")]
    assert len(names) == 21
    attended = {name for name in names if Fusion.ATTENTION in graph.classifiers[name].reads.values()}
    assert attended == {f"diagnosis-{mask}-{read}-attention" for mask, read in product(MASKINGS, MASKINGS)}

    graph = grid_config(config_of(), attention=True, controls=True).graph
    assert len([name for name in graph.classifiers if name.startswith("diagnosis")]) == 30
    controls = {name: section for name, section in graph.classifiers.items() if section.control}
    assert {name: (section.masking, section.control) for name, section in controls.items()} == {
        f"diagnosis-{mask}-{control}": (mask, control) for mask, control in product(MASKINGS, Control)
    }
    assert all(section.reads == {"symmetry-none": Fusion.CONCAT} for section in controls.values())
    assert len(grid_config(config_of(), controls=True).graph.classifiers) == 3 + 21
    assert len(graph.pairs()) == 27, "each that reads, with the standalone network of its masking"


def test_recipes_follow_masking_and_fusion_through_the_grid() -> None:
    diagnosis = {
        "task": "classification",
        "labels": "ham10000",
        "reads": {"symmetry": "concat"},
        "by_masking": {"lae": {"batch": 4}},
        "by_fusion": {"none": {"lr": 0.1}, "concat": {"lr": 0.2}, "attention": {"lr": 0.3}},
    }
    found = grid_config(config_of(diagnosis=diagnosis), attention=True).graph.classifiers
    keys = {name: (section.lr, section.batch) for name, section in found.items() if name.startswith("diagnosis-lae")}
    assert keys == {
        "diagnosis-lae": (0.1, 4),
        **{f"diagnosis-lae-{read}": (0.2, 4) for read in MASKINGS},
        **{f"diagnosis-lae-{read}-attention": (0.3, 4) for read in MASKINGS},
    }


STREAKS = {"task": "classification", "labels": ["absent", "present"]}


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ({"diagnosis": {"task": "classification", "labels": "ham10000"}}, "network diagnosis: a grid needs a target"),
        ({"streaks": STREAKS}, "network streaks: a grid needs a target that reads the saliency of one classifier"),
        (
            {"diagnosis": {**STREAKS, "reads": {"symmetry": "concat", "streaks": "concat"}}, "streaks": STREAKS},
            "a grid needs a target that reads the saliency of one classifier; set its reads",
        ),
        ({"lesion": None}, "masking segmentation, which needs a segmentation network; add one"),
        (
            {"streaks": {**STREAKS, "reads": {"symmetry": "concat"}}, "target": "diagnosis"},
            "network streaks: reads one of which a grid makes several; leave streaks out",
        ),
    ],
)
def test_what_makes_no_grid_is_refused_in_one_line(networks: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        grid_config(config_of(**networks))
    assert "\n" not in str(caught.value)
