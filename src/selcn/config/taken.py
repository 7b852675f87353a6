"""Networks that are taken from a bundle: `from: BUNDLE` in a configuration, completed from the bundle's config.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selcn.labels import LABEL_SETS

TAKEN_KEYS = ("from", "overlap")
"""Keys of a taken network beside those of its specification."""


def split_reference(text: str) -> tuple[Path, str | None]:
    """Path and network of `BUNDLE` or `BUNDLE#network`; None where no network is named.

    Args:
        text: as in a configuration.
    """
    path, mark, network = text.rpartition("#")
    return (Path(path), network) if mark and not Path(text).exists() else (Path(text), None)


def complete_networks(
    networks: object, keys: Mapping[str, tuple[str, ...]], written: Mapping[str, tuple[str, ...]]
) -> object:
    """The networks of a configuration, those with `from` completed by the specification that their bundle holds.

    A bundle is not read for an entry that holds its whole specification, as in a resolved configuration.

    Args:
        networks: entries by name, as configured.
        keys: those of a specification, by task.
        written: those of them that a resolved configuration holds whatever their value.

    Raises:
        ValueError: no such bundle or network, or a key of an entry has no meaning beside `from`.
    """
    if not isinstance(networks, Mapping):
        return networks
    return {
        name: _complete(str(name), dict(entry), keys, written)
        if isinstance(entry, Mapping) and entry.get("from")
        else entry
        for name, entry in networks.items()
    }


def _complete(
    name: str, entry: dict[str, Any], keys: Mapping[str, tuple[str, ...]], written: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    task = entry.get("task", "")
    allowed = keys.get(task, ())
    if not allowed or not set(written[task]) <= entry.keys():
        bundle, network = split_reference(str(entry["from"]))
        network, spec = _specification(bundle, network, name, entry.get("task"))
        allowed = keys.get(str(spec.get("task")), ())
        entry = {**spec, **entry, "from": f"{bundle}#{network}"}
    meaningless = entry.keys() - {*TAKEN_KEYS, *allowed}
    if meaningless:
        raise ValueError(
            f"network {name} is taken as it is from {entry['from']}; remove {', '.join(sorted(meaningless))}, or take "
            "`init` for `from` to train it further"
        )
    return entry


def _specification(bundle: Path, network: str | None, name: str, task: str | None) -> tuple[str, dict[str, Any]]:
    """Name and specification of the network that is meant: that named, else of the same name, else the only one."""
    try:
        tree = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
        specs, size = {str(key): dict(spec) for key, spec in tree["networks"].items()}, tree["prepare"]["size"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"network {name}: {bundle} is no bundle (no readable config.json); give RUN/bundle of a finished run"
        ) from None
    alike = [key for key, spec in specs.items() if task in (None, spec.get("task"))]
    chosen = network or (name if name in specs else alike[0] if len(alike) == 1 else None)
    if chosen not in specs:
        wrong = f"has no network {chosen}" if chosen else f"has no network {name}, and several others"
        raise ValueError(f"network {name}: {bundle} {wrong}; write {bundle}#NAME with one of {', '.join(specs)}")
    spec = specs[chosen]
    # What it was trained on stays its input, whatever size the images of this run are prepared at.
    return chosen, {**spec, "size": spec.get("size") or size, **_built_in(spec)}


def _built_in(spec: Mapping[str, Any]) -> dict[str, str]:
    """The name of a label set that is built in: networks of one label set are compared."""
    labels = spec.get("labels") or {}
    known = LABEL_SETS.get(labels.get("name", ""))
    same = known is not None and known.names == [one["name"] for one in labels["classes"]]
    return {"labels": known.name} if known is not None and same else {}
