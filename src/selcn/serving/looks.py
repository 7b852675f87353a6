"""What the page shows of an answer: HTML that holds its own pictures, so that nothing of them need be kept."""

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from selcn.data.imaging.prepare import resize
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import embed, panel_size, saliency_layer
from selcn.inference.result import Prediction, likeliest
from selcn.io.files import data_uri
from selcn.labels import Diagnosis
from selcn.serving.service import NOTICE, Answered

WIDEST = 640
"""Pixels that a picture has on the page."""
SPELLED = {diagnosis.value: diagnosis.spelled for diagnosis in Diagnosis}
_UNSURE = "The likeliest diagnosis is too improbable to rely on."
ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
_TEMPLATE = ENVIRONMENT.from_string(Path(__file__).with_name("looks.html.j2").read_text(encoding="utf-8"))


def show(answered: list[Answered], config: BundleConfig) -> str:
    """Pictures with outline and saliency, probabilities, warnings and the answer to keep, as HTML."""
    looks = [_look(one, one.picture, one.prediction, config) for one in answered]
    return _TEMPLATE.render(looks=looks, spelled=SPELLED, notice=NOTICE)


def _look(
    one: Answered, picture: np.ndarray | None, prediction: Prediction | None, config: BundleConfig
) -> dict[str, Any]:
    if picture is None or prediction is None:
        return {"error": one.error}
    small = resize(picture, panel_size(picture, 1, WIDEST))
    size = small.shape[1], small.shape[0]
    share = f"{100 * prediction.mask.mean():.0f} % of the picture" if len(prediction.outline) else "none found"
    return {
        "error": None,
        "name": one.name if one.frame is None else f"{one.name}, frame {one.frame + 1}",
        "title": f"Likeliest: {_said(prediction)}, {likeliest(prediction.symmetry)}",
        "width": prediction.mask.shape[1],
        "height": prediction.mask.shape[0],
        "picture": embed(small, "jpeg"),
        "outline": " ".join(f"{x},{y}" for x, y in prediction.outline.tolist()),
        "layers": [
            (f"Outline of the lesion: {share}", None),
            (f"Saliency of the symmetry: {likeliest(prediction.symmetry)}", _layer(prediction.symmetry_saliency, size)),
            (f"Saliency of the diagnosis: {_said(prediction)}", _layer(prediction.diagnosis_saliency, size)),
        ],
        "warnings": [*([_UNSURE] if prediction.abstain else []), *(f"{w.capitalize()}." for w in prediction.warnings)],
        "diagnosis": _ranked(prediction.diagnosis),
        "symmetry": list(prediction.symmetry.items()),
        "calibrated": config.safeguards is not None,
        "json": data_uri("application/json", json.dumps(one.to_json(), indent=1).encode()),
        "file": f"{Path(one.name).stem}.json",
    }


def _layer(saliency: np.ndarray, size: tuple[int, int]) -> str:
    return embed(saliency_layer(saliency, size), "png")


def _said(prediction: Prediction) -> str:
    diagnosis = likeliest(prediction.diagnosis)
    return SPELLED.get(diagnosis, diagnosis)


def _ranked(probabilities: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(probabilities.items(), key=lambda item: -item[1])
