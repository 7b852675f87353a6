"""Read a configuration from YAML or a preset's name; write the resolved one."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from selcn.config.run import RunConfig
from selcn.errors import ConfigError
from selcn.labels import LabelSet, parse_label_set

PRESETS = Path(__file__).parent / "presets"
_TAG_PLACES = {"data": 1, "networks": 2}
"""Index of the discriminator's value in a pydantic error location, by the location's first key."""


def presets() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def describe_presets() -> dict[str, str]:
    """What each preset is for: the comment it begins with."""
    described = {}
    for name in presets():
        lines = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        comment = takewhile(lambda line: line.startswith("#"), lines)
        described[name] = " ".join(line.lstrip("# ") for line in comment)
    return described


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a run's configuration and apply overrides.

    Args:
        path: of a YAML file, or the name of a preset.
        overrides: of the form ``a.b=value``, or ``NETWORK.key=value`` for a key of a network; values are YAML.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; the line names all of them.
    """
    name = str(path)
    if name in presets() and not path.exists():
        path = PRESETS / f"{name}.yaml"
    elif not path.exists():
        raise ConfigError(f"{path}: no such file and no preset (those are {', '.join(presets())}); check the path")
    tree = read_yaml(path)
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no keys; `selcn config show light` prints an example")
    for override in overrides or []:
        _override(tree, override)
    return _validated(tree, f"{path}: ")


def read_label_set(given: str) -> LabelSet:
    """A label set as it is given on a command line.

    Args:
        given: the name of a built-in set, a YAML file, or YAML such as `[benign, malignant]`; for the form of YAML see
            `selcn.labels.parse_label_set`.

    Raises:
        ConfigError: there is no such set, or its form is wrong.
    """
    try:
        tree = read_yaml(Path(given)) if given.endswith((".yaml", ".yml")) else yaml.safe_load(given)
        return parse_label_set(tree)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"--labels {given}: {' '.join(str(error).split())}") from None


def read_aliases(path: Path) -> dict[str, str]:
    """Other names of diagnoses, by the name as published.

    Args:
        path: a YAML file of one mapping.

    Raises:
        ConfigError: it cannot be read, or holds no mapping of names to names.
    """
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not all(isinstance(name, str) for pair in tree.items() for name in pair):
        raise ConfigError(f"{path}: holds no names of diagnoses; write lines such as `Naevus: nv`")
    return tree


def changed_config(config: RunConfig, **keys: Any) -> RunConfig:  # noqa: ANN401 - values of any key
    """A configuration with other values of some keys, validated again.

    Args:
        config: the original; not modified.
        keys: fields of `RunConfig` with their new values.

    Raises:
        ConfigError: the values are inconsistent; the line names all faults.
    """
    return _validated({**{key: getattr(config, key) for key in RunConfig.model_fields}, **keys})


def dump_config(config: BaseModel) -> str:
    """The resolved configuration as YAML, with every default.

    Args:
        config: of a run, or one section of it.
    """
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - any YAML value
    """What a YAML file holds.

    Args:
        path: of the file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give the path of a YAML file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


def _validated(tree: dict[str, Any], where: str = "") -> RunConfig:
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(where + "; ".join(map(_one_fault, error.errors()))) from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    *parents, leaf = key.split(".")
    named = parents and parents[0] in (tree.get("networks") or {}) and parents[0] not in RunConfig.model_fields
    if named:  # the short form NETWORK.key=value
        parents = ["networks", *parents]
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {parent} holds a value, not keys")
    try:
        tree[leaf] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None


def _one_fault(fault: Any) -> str:  # noqa: ANN401 - pydantic's own error dictionary
    where, given = fault["loc"], fault["input"]
    key = ".".join(str(part) for place, part in enumerate(where) if place != _TAG_PLACES.get(where[0]))
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key}{_suggestion(key)}; remove it"
    if fault["type"] == "missing":
        return f"key {key} is missing; add it"
    message = f"{key}: " * bool(key) + fault["msg"].removeprefix("Value error, ")
    return message if isinstance(given, dict | BaseModel) else f"{message} (given: {given!r:.60})"


def _suggestion(key: str) -> str:
    close = get_close_matches(key.rpartition(".")[2], _known_keys(RunConfig), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _known_keys(model: type[BaseModel]) -> set[str]:
    """Keys of a model and of all models below it."""
    known = set(model.model_fields)
    for field in model.model_fields.values():
        known |= {key for below in _models(field.annotation) for key in _known_keys(below)}
    return known


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
