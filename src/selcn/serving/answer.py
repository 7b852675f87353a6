"""The answer to an upload as HTML: reasons not to rely on it first, then images, probabilities and downloads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from selcn.data.imaging.prepare import resize
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import embed, panel_size, render, saliency_layer
from selcn.inference.reliability import BLURRED, EXPOSURE, NO_LESION, NOISY, OUT_OF_DISTRIBUTION
from selcn.inference.result import Prediction
from selcn.inference.row import Row
from selcn.io.files import data_uri
from selcn.serving.about import ModelFacts
from selcn.serving.service import NOTICE, PredictedUpload

MAX_WIDTH, MAX_LARGE_WIDTH = 640, 1600
"""Width of an image on the page, and of one that is enlarged, in pixels."""
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)
_IMPROBABLE, _FOLLOWS = "too improbable to rely on", "abstains with the target"


class _Panel(NamedTuple):
    """One copy of the image: its caption, alternative text, saliency smoothed and by cell, and the grid's size."""

    caption: str
    alt: str
    saliency: str | None = None
    cells: str | None = None
    grid: str = ""


def show_answer(predicted: PredictedUpload, config: BundleConfig, facts: ModelFacts) -> str:
    """HTML of an upload's images: warnings, outline and saliency, probabilities, downloads.

    Args:
        predicted: the upload with its predictions.
        config: of the bundle.
        facts: of the bundle, for people.
    """
    if predicted.error is not None:
        return show_error(str(predicted.error))
    images = [
        _shown(row, image, prediction, config, facts)
        for row, image, prediction in zip(predicted.rows(), predicted.images, predicted.predictions, strict=False)
    ]
    return TEMPLATES.get_template("answer.html.j2").render(images=images, notice=NOTICE, model=facts.summary)


def show_error(why: str) -> str:
    """HTML of a refusal.

    Args:
        why: in one line.
    """
    return TEMPLATES.get_template("answer.html.j2").render(images=[{"error": why}])


def withheld_classes(prediction: Prediction, config: BundleConfig) -> dict[str, str]:
    """Why a network's most probable class is not named as an answer, by the network's name; the others are not there.

    None is named where no lesion was found or the image is out of distribution. A network abstains below its own
    threshold; one for which none was measured abstains with the target.

    Args:
        prediction: of an image.
        config: of the bundle.
    """
    whole = [one for one in (NO_LESION, OUT_OF_DISTRIBUTION) if one in _image_warnings(prediction)]
    measured = config.reliability.networks if config.reliability else {}
    reasons = {}
    for name, one in prediction.results.items():
        threshold = measured[name].abstain_below if name in measured else None
        if whole or not one.defined:
            reasons[name] = whole[0] if whole else "undefined"
        elif threshold is not None and one.confidence < threshold:
            reasons[name] = _IMPROBABLE
        elif prediction.abstain and threshold is None:
            reasons[name] = _IMPROBABLE if name == prediction.target else _FOLLOWS
    return reasons


def _image_warnings(prediction: Prediction) -> list[str]:
    """The prediction's warnings; that no lesion was found is known without any measured reliability."""
    missing = prediction.lesion is not None and not prediction.lesion.mask.any()
    told = list(prediction.warnings)
    return [NO_LESION, *told] if missing and NO_LESION not in told else told


def _shown(
    row: Row, image: np.ndarray, prediction: Prediction, config: BundleConfig, facts: ModelFacts
) -> dict[str, Any]:
    """The template's fields of one image."""
    small, large = resize(image, panel_size(image, 1, MAX_WIDTH)), panel_size(image, 1, MAX_LARGE_WIDTH)
    name = row["image"] if "frame" not in row else f"{row['image']}, frame {row['frame'] + 1}"
    withheld = withheld_classes(prediction, config)
    networks = sorted(prediction.results, key=lambda one: one != prediction.target)
    named = {one: config.labels(one).long_name(prediction[one].prediction) for one in networks if one not in withheld}
    tables = {one: _table(prediction, one, config, withheld) for one in networks if prediction[one].defined}
    lesion = prediction.lesion
    return {
        "error": None,
        "name": name,
        "title": _title(networks, named, withheld),
        "named": bool(named) and not withheld,
        "size": prediction.size,
        "picture": embed(small, "jpeg"),
        "large": embed(resize(image, large), "jpeg") if large[0] > small.shape[1] else "",
        "outline": "" if lesion is None else " ".join(f"{x},{y}" for x, y in lesion.outline.tolist()),
        "panels": _panels(name, prediction, named, (small.shape[1], small.shape[0])),
        "warnings": _warnings(prediction, withheld),
        "set": _set(prediction, config, withheld),
        "tables": [table for one, table in tables.items() if one not in withheld],
        "withheld": [table for one, table in tables.items() if one in withheld],
        "files": _files(row, image, prediction, facts),
    }


def _title(networks: list[str], named: Mapping[str, str], withheld: Mapping[str, str]) -> str:
    if not networks:
        return "Outline of the lesion"
    if not withheld:
        return f"Likeliest: {', '.join(named.values())}"
    missing = f"No answer for {' and '.join(one for one in networks if one in withheld)}"
    return "; ".join([missing, *(f"likeliest {one}: {label}" for one, label in named.items())])


def _warnings(prediction: Prediction, withheld: Mapping[str, str]) -> list[str]:
    abstained = {
        _IMPROBABLE: "The likeliest {} is " + _IMPROBABLE + ".",
        _FOLLOWS: f"The {{}} abstains with the {prediction.target}, as no threshold of its own was measured.",
    }
    order = sorted(withheld, key=lambda name: name != prediction.target)
    unsure = [abstained[withheld[name]].format(name) for name in order if withheld[name] in abstained]
    return [*(f"{one.capitalize()}." for one in _image_warnings(prediction)), *unsure]


def _panels(name: str, prediction: Prediction, named: Mapping[str, str], size: tuple[int, int]) -> list[_Panel]:
    """The image with the outline, then with the saliency of each classifier."""
    lesion, plain = prediction.lesion, _Panel("The picture", name)
    if lesion is not None:
        share = f"{_percent(lesion.mask.mean())} of the image" if len(lesion.outline) else "none found"
        plain = _Panel(f"Outline of the lesion: {share}", f"{name} with the lesion's outline, {share}")
    return [plain, *(_saliency(one, prediction[one].saliency, named.get(one), size) for one in prediction.results)]


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _saliency(network: str, saliency: np.ndarray, label: str | None, size: tuple[int, int]) -> _Panel:
    height, width = saliency.shape
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    place = f"{100 * (column + 0.5) / width:.0f} % from the left and {100 * (row + 0.5) / height:.0f} % from the top"
    where = f"highest {place}" if saliency.max() > saliency.min() else "the same everywhere"
    return _Panel(
        f"Saliency of the {network}: {label or 'of a class that is not relied on'}",
        f"Saliency map of the {network}, {where}",
        embed(saliency_layer(saliency, size), "png"),
        embed(saliency_layer(saliency, (width, height)), "png"),
        f"{width} x {height}",
    )


def _set(prediction: Prediction, config: BundleConfig, withheld: Mapping[str, str]) -> str:
    """A sentence on the target's prediction set; "" where there is none, or the image is not what it was made for."""
    unlike = withheld.get(prediction.target) not in (None, _IMPROBABLE)
    if prediction.set is None or config.sets is None or unlike:
        return ""
    names = ", ".join(map(config.labels(prediction.target).long_name, prediction.set))
    share = f"{100 * config.sets.coverage:.4g} % of the images of each class"
    return f"Prediction set of the {prediction.target}, which holds the truth for {share}: {names or 'empty'}."


def _table(
    prediction: Prediction, name: str, config: BundleConfig, withheld: Mapping[str, str]
) -> tuple[str, list[tuple[str, float]]]:
    """Title and probabilities of a classifier: the target's ranked behind its prediction, others in the order of
    their classes."""
    labels, probabilities = config.labels(name), list(prediction[name].probabilities.items())
    if name == prediction.target:
        probabilities.sort(key=lambda item: (item[0] != prediction[name].prediction, -item[1]))
    title = f"{name.capitalize()}, {_reliance(prediction, name, config, withheld)}"
    return title, [(labels.long_name(label), probability) for label, probability in probabilities]


def _reliance(prediction: Prediction, name: str, config: BundleConfig, withheld: Mapping[str, str]) -> str:
    if name in withheld:
        return "not to be relied on"
    if config.reliability is None or name not in config.reliability.networks:
        return "not calibrated"
    # Calibration was measured on images within the usual range.
    unusual = {BLURRED, EXPOSURE, NOISY}.intersection(prediction.warnings)
    return "calibration unknown for such an image" if unusual else "calibrated"


def _files(row: Row, image: np.ndarray, prediction: Prediction, facts: ModelFacts) -> list[tuple[str, str, str]]:
    """What can be downloaded: the link's text, the file's name and its content."""
    stem = Path(row["image"]).stem + (f"-{row['frame'] + 1}" if "frame" in row else "")
    text = json.dumps({**facts.download, "predictions": [row]}, indent=1)
    drawn = {key: embed(one, {"overlay": "jpeg"}.get(key, "png")) for key, one in render(image, prediction).items()}
    files = [("Download as JSON", f"{stem}.json", data_uri("application/json", text.encode()))]
    if "mask" in drawn:
        files.append(("Mask as PNG", f"{stem}-mask.png", drawn["mask"]))
    return [*files, ("Overlay as JPEG", f"{stem}-overlay.jpg", drawn["overlay"])]
