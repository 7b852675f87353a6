"""What the page shows of an answer: HTML that holds its own pictures, so that nothing of them need be kept."""

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from selcn.data.imaging.images import resize
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import embed, panel_size, saliency_layer
from selcn.inference.result import Prediction
from selcn.io.files import data_uri
from selcn.serving.service import NOTICE, ImageAnswer

WIDEST = 640
"""Pixels that a picture has on the page."""
_UNSURE = "The most probable class is too improbable to rely on."
ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
_TEMPLATE = ENVIRONMENT.from_string(Path(__file__).with_name("answers.html.j2").read_text(encoding="utf-8"))


def show(answered: list[ImageAnswer], config: BundleConfig) -> str:
    """Pictures with outline and saliency, probabilities, warnings and the answer to keep, as HTML."""
    looks = [_look(one, one.picture, one.prediction, config) for one in answered]
    return _TEMPLATE.render(looks=looks, notice=NOTICE)


def _look(
    one: ImageAnswer, picture: np.ndarray | None, prediction: Prediction | None, config: BundleConfig
) -> dict[str, Any]:
    if picture is None or prediction is None:
        return {"error": one.error}
    small = resize(picture, panel_size(picture, 1, WIDEST))
    size = small.shape[1], small.shape[0]
    lesion = prediction.lesion
    share = f"{100 * lesion.mask.mean():.0f} % of the picture" if lesion and len(lesion.outline) else "none found"
    outline = [] if lesion is None else [(f"Outline of the lesion: {share}", None)]
    said = {name: config.labels(name).long_name(result.prediction) for name, result in prediction.results.items()}
    first = [config.target, *(name for name in reversed(list(said)) if name != config.target)]
    return {
        "error": None,
        "name": one.name if one.frame is None else f"{one.name}, frame {one.frame + 1}",
        "title": f"Likeliest: {', '.join(said[name] for name in first if name in said)}",
        "width": prediction.size[0],
        "height": prediction.size[1],
        "picture": embed(small, "jpeg"),
        "outline": "" if lesion is None else " ".join(f"{x},{y}" for x, y in lesion.outline.tolist()),
        "layers": [
            *outline,
            *(
                (f"Saliency of the {name}: {said[name]}", _layer(result.saliency, size))
                for name, result in prediction.results.items()
            ),
        ],
        "warnings": [*([_UNSURE] if prediction.abstain else []), *(f"{w.capitalize()}." for w in prediction.warnings)],
        "bars": [_bars(config, name, prediction) for name in first if name in said],
        "json": data_uri("application/json", json.dumps(one.to_json(), indent=1).encode()),
        "file": f"{Path(one.name).stem}.json",
    }


def _layer(saliency: np.ndarray, size: tuple[int, int]) -> str:
    return embed(saliency_layer(saliency, size), "png")


def _bars(config: BundleConfig, name: str, prediction: Prediction) -> tuple[str, list[tuple[str, float]]]:
    """Title and probabilities of a classifier by its classes' long names; those of the target ranked."""
    labels, shares = config.labels(name), list(prediction[name].probabilities.items())
    measured = config.reliability is not None and name in config.reliability.networks
    how = f", {'calibrated' if measured else 'not calibrated'}" if name == config.target else ""
    ranked = sorted(shares, key=lambda share: -share[1]) if name == config.target else shares
    return f"{name.capitalize()}{how}", [(labels.long_name(label), share) for label, share in ranked]
