"""The search space: a range or choices for each key of a network's section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from selcn.config import ClassificationSection, Node, RunConfig, SegmentationSection, changed_config
from selcn.config.networks import Recipe
from selcn.errors import ConfigError


class Range(BaseModel):
    """The values of one key: numbers from low to high, or one of several choices.

    Attributes:
        low: lower bound, inclusive.
        high: upper bound, inclusive.
        scale: `linear` or `log`, on which numbers are sampled.
        whole: whether numbers are integers.
        choices: the values, in place of the bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    whole: bool = Field(False, description="whole numbers only")
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Range":
        numbers = self.low is not None and self.high is not None
        if numbers == bool(self.choices):
            raise ValueError("give low and high, or choices")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.scale == "log" and self.low is not None and self.low <= 0:
            raise ValueError("a log scale begins above 0")
        return self

    def suggest(self, trial: optuna.Trial, key: str) -> Any:  # noqa: ANN401 - what the key holds
        """The value that a trial's sampler suggests.

        Args:
            trial: a running one.
            key: of the network's section.
        """
        if self.choices:
            return trial.suggest_categorical(key, list(self.choices))
        assert self.low is not None
        assert self.high is not None
        log = self.scale == "log"
        if self.whole:
            return trial.suggest_int(key, round(self.low), round(self.high), log=log)
        return trial.suggest_float(key, self.low, self.high, log=log)


Space = Mapping[str, Range]
_OF_FEATURES = {"weights", "backbone", "masking", "size", "input", "balance", "augment", "freeze", "flips"}


def thesis_space(section: SegmentationSection | ClassificationSection) -> Space:
    """The search space of the thesis.

    Args:
        section: of the network, whose task decides.
    """
    space = {
        "lr": Range(low=1e-5, high=1e-2, scale="log"),
        "weight_decay": Range(low=1e-5, high=1e-3, scale="log"),
        "batch": Range(choices=(8, 16, 32)),
    }
    if section.task == "segmentation":
        return space | {"lr": Range(low=1e-4, high=1e-1, scale="log"), "rank_weight": Range(low=0.01, high=0.1)}
    return space | {"weighted": Range(choices=(True, False))}


def read_space(path: Path) -> Space:
    """Read a search space from YAML.

    Args:
        path: of a mapping of keys to ranges: `lr: {low: 1.0e-5, high: 1.0e-2, scale: log}`, `batch: {choices: [8]}`.

    Raises:
        ConfigError: unreadable, or a range is wrong; the line names all of them.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]}); give a YAML file") from None
    if not isinstance(tree, dict) or not tree:
        raise ConfigError(f"{path}: holds no ranges; write for example lr: {{low: 1.0e-5, high: 1.0e-2, scale: log}}")
    space, faults = {}, []
    for key, given in tree.items():
        try:
            space[str(key)] = Range.model_validate(given)
        except ValidationError as error:
            faults.append(f"{key}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
    if faults:
        raise ConfigError(f"{path}: {'; '.join(faults)}")
    return space


def configured(config: RunConfig, network: str, values: Mapping[str, Any]) -> RunConfig:
    """A configuration with other values for a network; those of a twin are set at the network that it is a twin of.

    Where the network has a recipe for its masking or its fusion, values that a recipe may hold are set there.

    Args:
        config: of the run.
        network: its name.
        values: by key of the network's section.

    Raises:
        ConfigError: a key that the network does not have, or a value that it refuses.
    """
    tree, node = config.model_dump(mode="json")["networks"], config.graph.nodes[network]
    section = tree[node.twin_of or network]
    unknown = sorted(values.keys() - section.keys())
    if unknown:
        raise ConfigError(f"network {network} has no key {', '.join(unknown)}; keys are {', '.join(sorted(section))}")
    if getattr(node.section, "freeze", False):
        fixed = sorted(values.keys() & _OF_FEATURES)
        if fixed:
            raise ConfigError(
                f"network {network}: is frozen, and its features are computed once; leave {', '.join(fixed)} out"
            )
    recipe = _recipe(node, section)
    for key, value in values.items():
        (recipe if recipe is not None and key in Recipe.model_fields else section)[key] = value
    return changed_config(config, networks=tree)


def _recipe(node: Node, section: dict[str, Any]) -> dict[str, Any] | None:
    """The recipe that applies to a network, or only to a twin; None where there is none."""
    if not isinstance(node.section, ClassificationSection):
        return None
    fusion = next(iter(node.section.reads.values())).value if node.section.reads else "none"
    if node.twin_of or fusion in section["by_fusion"]:
        recipe: dict[str, Any] = section["by_fusion"].setdefault(fusion, {})
        return recipe
    own: dict[str, Any] | None = section["by_masking"].get(node.section.masking)
    return own
