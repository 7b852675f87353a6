"""Images out of distribution beside usual ones through a bundle: their scores and warnings, as files.

```
OUT/
  scores.csv   image_id, group, ood (0 or 1), source, scores of `selcn.evaluation.ood.OOD_SCORES`, warnings
  ood.csv      how well each score tells them apart, and how often each warning is given, with 95 % intervals by lesion
```
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from selcn.config import ClassifierSpec
from selcn.data.catalog import catalog_hash, groups
from selcn.data.metadata import known_values
from selcn.errors import ConfigError, DataError
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.ood import OOD_SCORES, SEPARATOR, ood_table
from selcn.inference.bundle import read_lesions
from selcn.inference.given_table import GivenRow
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.inference.result import describe
from selcn.inference.row import Row
from selcn.inference.stream import Decoded, Frame, work_through
from selcn.inference.torch_engine import TorchEngine
from selcn.io.tables import guarded
from selcn.models.features import watch_earlier
from selcn.runs.taken import seen_rows

SCORES, TABLE = "scores.csv", "ood.csv"


@dataclass(frozen=True)
class OodScores:
    """What images out of distribution gave.

    Attributes:
        table: as `selcn.evaluation.ood.ood_table` gives it.
        failed: the error of each image that cannot be read.
        undefined: why a score is missing, by its name.
    """

    table: pd.DataFrame
    failed: list[str]
    undefined: dict[str, str]


def score_ood(
    predictor: Predictor,
    bundle: Path,
    usual: pd.DataFrame,
    strange: pd.DataFrame,
    out: Path,
    *,
    overlap: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> OodScores:
    """Score usual images and images out of distribution with a bundle's target; resumable.

    Args:
        predictor: of the bundle, with the engine `torch`.
        bundle: its folder.
        usual: catalog of images that it was not trained on.
        strange: catalog of images out of distribution.
        out: folder of this job alone, see this module; made where it does not exist.
        overlap: whether usual images of lesions that the bundle was trained on may be among them.
        resamples: bootstrap resamples of lesions.
        seed: of the bootstrap.
        on_progress: called with images done and images in all.

    Raises:
        ConfigError: the bundle has no classifier as target or another engine, or images out of distribution, or usual
            ones without ``overlap``, are of lesions that it was trained on, or an image is in both catalogs.
        DataError: none of either can be read.
    """
    _check(predictor, bundle, usual, strange, overlap=overlap)
    table = pd.concat([usual.assign(ood=0), strange.assign(ood=1)], ignore_index=True)
    table["group"] = np.r_[groups(usual), groups(strange)]
    failed = _score_images(predictor, table, out / SCORES, [catalog_hash(usual), catalog_hash(strange)], on_progress)
    scores = pd.read_csv(out / SCORES, dtype={"image_id": str, "group": str, "source": str, "warnings": str})
    is_strange = scores["ood"] == 1
    found = ood_table(scores[~is_strange], scores[is_strange].fillna({"source": ""}), resamples=resamples, seed=seed)
    found.to_csv(out / TABLE, index=False)
    return OodScores(found, failed, _undefined(predictor))


def _check(predictor: Predictor, bundle: Path, usual: pd.DataFrame, strange: pd.DataFrame, *, overlap: bool) -> None:
    config = predictor.config
    if config.target not in config.classifiers:
        raise ConfigError(f"{bundle}: its target {config.target} is no classifier; --ood scores class probabilities")
    if not isinstance(predictor.run, TorchEngine):
        raise ConfigError(f"--engine {predictor.engine}: --ood reads logits and features; leave it out")
    known = read_lesions(bundle)
    for name, table, allowed in (("--ood", strange, False), ("usual images", usual, overlap)):
        seen = int(seen_rows(table, known).sum())
        if seen and not allowed:
            raise ConfigError(
                f"{name}: {bundle} was trained on lesions or images of {seen} of the {len(table)}; leave them out"
            )
    for key in ("image_id", "image_path"):
        both = set(usual[key]) & set(strange[key])
        if both:
            raise ConfigError(f"--ood: {min(both)} and {len(both) - 1} others are usual images too; leave them out")


def _score_images(
    predictor: Predictor,
    table: pd.DataFrame,
    path: Path,
    catalogs: list[str],
    on_progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Write a row an image; return the error of each that cannot be read."""
    items, config = [Item(one) for one in table["image_path"]], predictor.config
    metadata = [known_values(row, config.metadata) for row in table.to_dict("records")]
    plan = {"command": "evaluate --ood", "bundle": predictor.digest, "catalogs": catalogs, "metadata": metadata}

    def row_of(number: int, decoded: Decoded, found: list[dict[str, Any]]) -> list[Row]:
        entry = table.iloc[number]
        if isinstance(decoded, DataError) or len(found) != 1:
            said = str(decoded) if isinstance(decoded, DataError) else f"{items[number].name}: holds several frames"
            return [{"error": said}]
        return [{**{key: entry[key] for key in ("image_id", "group")}, "ood": int(entry["ood"]), **found[0]}]

    def seal(rows: Iterable[Row], file: Path) -> None:
        columns = ["image_id", "group", "ood", "source", *OOD_SCORES, "warnings"]
        kept = pd.DataFrame([row for row in rows if "error" not in row])
        if kept.empty:
            raise DataError(f"{items[0].name} and {len(items) - 1} others: none can be read; check the catalogs' paths")
        keys = zip(table["ood"], table["image_id"], strict=True)
        source = dict(zip(keys, table["source"], strict=True))
        kept["source"] = [source[key] for key in zip(kept["ood"], kept["image_id"], strict=True)]
        guarded(kept.reindex(columns=columns)).to_csv(file, index=False)

    return work_through(
        [predictor],
        items,
        path,
        plan,
        predict=_score_frames,
        describe=row_of,
        seal=seal,
        given={number: GivenRow(metadata=values) for number, values in enumerate(metadata) if values},
        on_progress=on_progress,
    )


@torch.inference_mode()
def _score_frames(predictor: Predictor, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Scores and warnings of a batch; a score that is not measured is NaN."""
    engine, config = predictor.run, predictor.config
    assert isinstance(engine, TorchEngine)
    prepared, given = np.stack([frame.prepared for frame in frames]), predictor.given_arrays([f.given for f in frames])
    members = list(engine.ensemble.members)
    with ExitStack() as stack:
        watched = [stack.enter_context(watch_earlier(member.networks[config.target])) for member in members]
        passes = engine.passes(prepared, given)
    outputs = engine.outputs(passes, given)
    undefined, nothing = _undefined(predictor), np.full(len(frames), np.nan)
    energy, earlier = nothing, nothing
    if "energy" not in undefined:
        energies = [-found.outputs[config.target].logits.logsumexp(dim=1) for _, found in passes]
        energy = torch.stack(energies).mean(dim=0).cpu().numpy()
    if "distance_earlier" not in undefined:
        far = [member.distance_earlier(seen[0]) for member, seen in zip(members, watched, strict=True)]  # type: ignore[misc]
        earlier = torch.stack(far).mean(dim=0).cpu().numpy()
    rows = []
    for number, frame in enumerate(frames):
        prediction = describe(config, prepared[number], outputs, number, frame.size, frame.given)
        confidence = max(prediction[config.target].probabilities.values())
        distance = np.nan if "distance" in undefined else prediction.distance
        scores = map(float, (1 - confidence, energy[number], distance, earlier[number]))
        rows.append(dict(zip(OOD_SCORES, scores, strict=True)) | {"warnings": SEPARATOR.join(prediction.warnings)})
    return rows


def _undefined(predictor: Predictor) -> dict[str, str]:
    """Why a score cannot be measured, by its name."""
    config = predictor.config
    spec = config.classifiers[config.target]
    assert isinstance(spec, ClassifierSpec)
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    reasons = {}
    if spec.flips:
        reasons["energy"] = f"{config.target} averages the probabilities of flips, whose energy is 0"
    if measured is None:
        reasons["distance"] = f"the bundle holds no features of {config.target}"
    if measured is None or measured.earlier is None:
        reasons["distance_earlier"] = "the bundle holds no features of the stage before; make it anew"
    return reasons
