"""The model card of a bundle."""

from collections.abc import Mapping, Sequence
from typing import Any

from selcn.inference.bundle import BundleConfig

HEADER = """---
library_name: selcn
pipeline_tag: image-classification
license: other
license_name: that-of-the-training-pictures
tags:
- dermoscopy
- skin-lesion
- symmetry
- grad-cam
---
"""
USE = """## Intended use
Research on skin lesion classification: comparing methods, studying explanations, teaching. **It is not a medical
device.** Do not use it to decide about anyone's care.

    import selcn
    prediction = selcn.load("THIS_FOLDER").predict("lesion.jpg")

## Limits
- It knows seven diagnoses and calls everything one of them, skin or not. Its warnings (no lesion found, blurred,
  exposure, unlike the training pictures) catch some of what it cannot know, not all.
- Saliency shows where the evidence for a class lies, not that the network reasons as a person would.
- How it does on other cameras, people and clinics than those below was not measured.
"""


def model_card(config: BundleConfig, metrics: Sequence[Mapping[str, Any]]) -> str:
    """Markdown with the usual metadata in front."""
    return "\n".join(
        [
            HEADER,
            f"# SE-LCN, {config.variant.name}\n",
            "A dermoscopic picture goes in; out come the lesion's outline, a judgement of its symmetry with a map of "
            f"where that comes from, and a diagnosis over {len(config.diagnosis_labels)} classes "
            f"({', '.join(config.diagnosis_labels)}). An ensemble of {config.members} members, each trained without "
            "one fold; made with selcn.\n",
            USE,
            "## Data\n",
            *(f"- {source.name}: {source.images} images, {source.licence}" for source in config.sources),
            f"\nSplit by lesion, fingerprint `{config.split[:12]}`. The weights inherit what these licences ask for.\n",
            "## Figures\n",
            "95 % intervals by lesion. *test* was held out from everything; *validation* is each fold by the member "
            "that did not train on it, slightly optimistic.\n",
            *_table(metrics),
            *_trust(config),
        ]
    )


def _table(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {row['network']} | {row['metric'].replace('_', ' ')} | {row['fold_part']} | {row['value']:.3f} | "
        f"{_interval(row)} | {row['images']} |"
        for row in metrics
        if row["value"] is not None
    ]
    return ["| network | metric | part | value | 95 % interval | images |", f"{'| --- ' * 6}|", *rows]


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"


def _trust(config: BundleConfig) -> list[str]:
    guards = config.safeguards
    if guards is None:
        return []
    return [
        "\n## When not to trust it\n",
        f"Probabilities are calibrated with temperature {guards.temperature:.3f}. Below a probability of "
        f"{guards.abstain_below:.3f} an answer is marked as one to abstain from: {100 * guards.coverage:.0f} % of the "
        "validation images lie above it.",
    ]
