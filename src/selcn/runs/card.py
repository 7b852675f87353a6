"""The model card of a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selcn.inference.bundle import BundleConfig
from selcn.inference.reliability import NetworkReliability
from selcn.labels import NO_MASKING, Protocol
from selcn.models.backbones import normalisation
from selcn.models.plain import plain_lines
from selcn.runs.provenance import citation

HEADER = """---
library_name: selcn
pipeline_tag: image-classification
license: other
license_name: that-of-the-training-images
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
- It knows the classes above and calls everything one of them, skin or not. Its warnings (no lesion found, blurred,
  noisy, exposure, unlike the training images) catch some of what it cannot know, not all.
- Saliency shows where the evidence for a class lies, not that the network reasons as a person would.
- How it does on other cameras, people and clinics than those below was not measured.
"""
SUBGROUPS = (
    "Of the run's members together, before their weights were rounded and networks shared; intervals of 95 % by "
    "lesion, none where there are few images.\n"
)
NOBODY = "The catalog names nobody; see the publications of the data."
_BY_PATIENT = "Split by patient where the data names patients, else by lesion"
_SPLIT = {
    Protocol.GROUPED: _BY_PATIENT,
    Protocol.EXTERNAL: f"{_BY_PATIENT}, whole sources as the test subset",
    Protocol.THESIS: "Split by image, so that lesions leak into the test subset",
}


@dataclass(frozen=True)
class Background:
    """What a run knows beside its bundle, in lines of Markdown; empty where it does not know.

    Attributes:
        annotators: who gave masks and labels.
        cost: what the training took, and on which machines.
        subgroups: a table of the target's metrics by subgroup.
    """

    annotators: Sequence[str] = ()
    cost: Sequence[str] = ()
    subgroups: Sequence[str] = ()


def model_card(
    config: BundleConfig,
    metrics: Sequence[Mapping[str, Any]],
    protocol: Protocol,
    *,
    plain: Sequence[str] = (),
    background: Background = Background(),
) -> str:
    """The model card in Markdown, with its YAML metadata first.

    Args:
        config: of the bundle.
        metrics: of its networks, one mapping a row of the metrics table.
        protocol: of the split.
        plain: plain state dicts of the target, relative to the bundle.
        background: of the run that it was made of.
    """
    return "\n".join(
        [
            HEADER,
            f"# {config.name}: {config.target}\n",
            "A dermoscopic image goes in; out come " + "; ".join(_predictions(config)) + ". "
            f"An ensemble of {config.members} members, each trained without one fold, by selcn {config.selcn}."
            f"{_shared(config)}"
            f"{_metadata(config)}\n",
            USE,
            *(_plain(config, plain[0]) if plain else ()),
            "## Data\n",
            *(f"- {source.name}: {source.images} images, {source.licence}" for source in config.sources),
            f"\n{_SPLIT[protocol]}, fingerprint `{config.split[:12]}`. "
            "The weights inherit what these licences ask for.\n",
            "### Annotators\n",
            *(f"- {line}" for line in background.annotators or [NOBODY]),
            "",
            "## Metrics\n",
            "95 % intervals by lesion. *test* was held out from everything; *validation* is each fold by the member "
            "that did not train on it, slightly optimistic. A calibration error may lie below its interval, since "
            "resampling raises it.\n",
            *metric_lines(metrics),
            *_section(
                f"Subgroups of {config.target}", [SUBGROUPS, *background.subgroups] if background.subgroups else []
            ),
            *_reliability(config),
            *_section("Cost of training", background.cost),
            "\n## Citation\n",
            f"```bibtex\n{citation()}\n```\n",
            "The data: " + "; ".join(f"{source.name}, {source.licence}" for source in config.sources) + ".\n",
        ]
    )


def _shared(config: BundleConfig) -> str:
    named = " and ".join(config.shared)
    return f" All members use the {named} of the first." if named else ""


def _metadata(config: BundleConfig) -> str:
    named = ", ".join(config.metadata)
    return f" Beside the image it reads {named}; any of them may be missing." if named else ""


def _plain(config: BundleConfig, file: str) -> list[str]:
    spec = config.classifiers[config.target]
    width, height = spec.size or config.prepare.size
    mean, std = normalisation(spec.backbone)
    masked = "" if spec.masking == NO_MASKING else f", masked by `{spec.masking}`"
    return [
        f"## {config.target} without selcn\n",
        f"From the bundle's folder; a file a member, in `{file.partition('/')[0]}/`:\n",
        *(f"    {line}" for line in plain_lines(spec, file)),
        f"\nIt takes RGB images in [0, 1] of {width} x {height} pixels{masked}, less {mean}, divided by {std} (a value "
        f"a channel), and returns logits of {', '.join(spec.labels.names)}, not calibrated.\n",
    ]


def _predictions(config: BundleConfig) -> list[str]:
    outline = ["the lesion's outline"] if config.segmenter else []
    return [
        *outline,
        *(
            f"{name} ({', '.join(spec.labels.names)}) with a map of where the evidence lies"
            + " in its own features, beside which it reads measured symmetry that no map shows" * spec.measures
            for name, spec in config.classifiers.items()
        ),
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"\n## {title}\n", *lines] if lines else []


def metric_lines(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Metrics as a Markdown table; rows without a value are left out.

    Args:
        metrics: one mapping a row of the metrics table.
    """
    rows = [
        f"| {row['network']} | {row['metric'].replace('_', ' ')} | {row['fold_part']} | {row['value']:.3f} | "
        f"{_interval(row)} | {row['images']} |"
        for row in metrics
        if row["value"] is not None
    ]
    return ["| network | metric | subset | value | 95 % interval | images |", f"{'| --- ' * 6}|", *rows]


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"


_BIASED = (
    " and a bias a class. It predicts the class that its networks find most probable before that, which need not be "
    "the most probable one after it"
)


def _reliability(config: BundleConfig) -> list[str]:
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    if measured is None:
        return []
    return [
        "\n## When not to trust it\n",
        f"Probabilities of {config.target} are calibrated with a temperature of {measured.temperature:.3f}"
        f"{_BIASED if measured.bias else ''}. It abstains "
        f"below a probability of {measured.abstain_below:.3f}: {100 * measured.coverage:.0f} % of the validation "
        "images lie above.",
        *_alarm_line(measured),
        _set_line(measured, config.target),
    ]


def _alarm_line(measured: NetworkReliability) -> list[str]:
    if measured.false_alarms is None:
        return []
    rate = f"{100 * measured.false_alarms:.2g} %"
    return [
        f"Each warning (blurred or noisy, exposure, unlike the training images) is set to be given of {rate} of usual "
        "images, by images that its members were not trained on."
    ]


def _set_line(measured: NetworkReliability, target: str) -> str:
    if measured.sets is None:
        return f"There are no prediction sets of {target}: some of its classes have too few lesions."
    return (
        f"The `set` of a prediction is fitted to hold the truth for {100 * measured.sets.coverage:.4g} % of each "
        "class, every lesion weighing alike, of new lesions like those of the folds."
    )
