"""Writes docs/configuration.md: every key of a configuration with its values, default and meaning, from the code.

python docs/configuration/make.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selcn.config import RunConfig
from selcn.config.networks import Training
from selcn.config.specs import SPEC_KEYS

PAGE = Path(__file__).parent.parent / "configuration.md"
INTRODUCTION = """# Configuration

Every key of a run's configuration, written by `docs/configuration/make.py` from the code. `selcn config show NAME`
prints a preset with all its keys, and `--set lesion.epochs=5` changes one on the command line. A key that does not
exist is refused."""
SECTIONS = {
    "PhantomSource": "`data`, with `source: phantom`",
    "Ham10000Source": "`data`, with `source: ham10000`",
    "CatalogSource": "`data`, with `source: catalog`",
    "SplitSection": "`split`",
    "PrepareSection": "`prepare`",
    "EvaluationSection": "`evaluation`",
    "BundleSection": "`bundle`",
}
NETWORKS = {
    "SegmentationSection": ("segmentation", "A network with `task: segmentation`"),
    "ClassificationSection": ("classification", "A network with `task: classification`"),
}
REPLACED = "ClassificationSection"
"""Whose keys those of a recipe are."""
NESTED = {"Recipe": "A recipe of `by_masking` or `by_fusion`", "AugmentSection": "`augment` of a network"}


def page() -> str:
    """The whole page."""
    schema = RunConfig.model_json_schema()
    kinds = schema["$defs"]
    parts = [INTRODUCTION, "## A run", _table(schema, schema["properties"], kinds)]
    for name, title in SECTIONS.items():
        parts += [f"## {title}", _text(kinds[name]), _table(kinds[name], kinds[name]["properties"], kinds)]
    shared = {one.validation_alias or key for key, one in Training.model_fields.items()} - {"monitor", "lr", "schedule"}
    for name, (task, title) in NETWORKS.items():
        keys = kinds[name]["properties"]
        own = {key: one for key, one in keys.items() if key not in shared and key not in SPEC_KEYS[task]}
        network = {key: one for key, one in keys.items() if key in SPEC_KEYS[task]}
        parts += [f"## {title}", _text(kinds[name]), "The network itself:", _table(kinds[name], network, kinds)]
        parts += ["Its training, beside the keys of every network below:", _table(kinds[name], own, kinds)]
    every = {key: one for key, one in kinds["SegmentationSection"]["properties"].items() if key in shared}
    parts += ["## Training of any network", _table(kinds["SegmentationSection"], every, kinds)]
    for name, title in NESTED.items():
        parts += [f"## {title}", _text(kinds[name]), _table(kinds[name], kinds[name]["properties"], kinds)]
    return "\n\n".join(parts) + "\n"


def _text(kind: dict[str, Any]) -> str:
    return str(kind["description"])


def _table(kind: dict[str, Any], keys: dict[str, Any], kinds: dict[str, Any]) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for key, one in keys.items():
        default = "*required*" if key in kind.get("required", ()) else _default(one.get("default"))
        rows.append(
            f"| `{key}` | {', '.join(dict.fromkeys(_values(one, kinds)))} | {default} | {_meaning(key, one, kinds)} |"
        )
    return "\n".join(rows)


def _meaning(key: str, one: dict[str, Any], kinds: dict[str, Any]) -> str:
    """The description of a key, of the one kind of value that it takes, or of a network's key that it replaces."""
    branches = (one, *one.get("anyOf", ()), kinds[REPLACED]["properties"].get(key, {}))
    text = next((str(branch["description"]) for branch in branches if "description" in branch), "")
    kind = _kind(one, kinds)
    if kind is not None and not text:
        sentence = _text(kind).partition("\n")[0]
        text = sentence[0].lower() + sentence[1:].rstrip(".")
    return text.replace("|", "\\|")


def _default(value: object) -> str:
    if isinstance(value, dict) and value:
        return "its defaults"
    return f"`{json.dumps(value)}`" if value not in ({}, []) else "none"


def _kind(one: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any] | None:
    return kinds.get(one["$ref"].rsplit("/", 1)[-1]) if "$ref" in one else None


def _values(one: dict[str, Any], kinds: dict[str, Any]) -> Iterator[str]:
    """What a key takes, in words, one kind after the other."""
    kind = _kind(one, kinds)
    if kind is not None:
        yield from _values({"enum": kind["enum"]} if "enum" in kind else {"type": "keys below"}, kinds)
    elif "anyOf" in one or "oneOf" in one:
        for branch in one.get("anyOf") or one["oneOf"]:
            yield from _values(branch, kinds)
    elif "enum" in one:
        yield from (f"`{value}`" for value in one["enum"])
    elif "const" in one:
        yield f"`{one['const']}`"
    elif one.get("type") == "array":
        fixed = [value for item in one.get("prefixItems", ()) for value in _values(item, kinds)]
        yield "[" + ", ".join(fixed or [*_values(one.get("items", {}), kinds), "..."]) + "]"
    elif one.get("type") == "object":
        inner = one.get("additionalProperties")
        kept = dict.fromkeys(_values(inner, kinds)) if isinstance(inner, dict) else {}
        yield " ".join(["mapping of names to", " or ".join(kept)]) if kept else "mapping"
    else:
        yield _scalar(one)


def _scalar(one: dict[str, Any]) -> str:
    """A number with its range, or another single value."""
    words = {
        "integer": "integer",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "null": "`null`",
        "keys below": "keys below",
    }
    low = [f"≥ {one['minimum']}"] if "minimum" in one else []
    low += [f"> {one['exclusiveMinimum']}"] if "exclusiveMinimum" in one else []
    high = [f"≤ {one['maximum']}"] if "maximum" in one else []
    high += [f"< {one['exclusiveMaximum']}"] if "exclusiveMaximum" in one else []
    word = words.get(str(one.get("type")), "name or list")
    return " ".join([word, *(["(" + ", ".join(low + high) + ")"] if low or high else [])])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
