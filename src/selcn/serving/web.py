"""The web page at `/`: drop an image or pick a sample, and see the bundle's prediction.

Gradio provides layout, theme and login. Its other services, above all files that are stored in a folder on the disk,
are blocked: an image arrives as base64 within one call and never becomes a file. The prediction is HTML with embedded
images, so that none of them need be kept.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio
import jinja2
import numpy as np
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import decode_frames
from selcn.errors import DataError, SelcnError
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import embed, panel_size, saliency_layer
from selcn.inference.result import Prediction
from selcn.inference.row import Row
from selcn.io.files import data_uri
from selcn.serving.middleware import route_path
from selcn.serving.service import NOTICE, PredictedUpload, Service
from selcn.serving.uploads import Limits, Upload, base_name

USER = "selcn"
MAX_WIDTH = 640
"""Width of an image on the page, in pixels."""
_HERE = Path(__file__).parent
_SYSTEM = ("system-ui", "sans-serif")
_THUMBNAIL = 200
_CALLS = "/gradio_api/"
_NEEDED = tuple(_CALLS + name for name in ("component_server", "heartbeat/", "login_check", "startup-events", "user"))
_CLOSED = (_CALLS, "/monitoring", "/svelte")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def mount_page(app: FastAPI, service: Service, samples: Sequence[Upload], token: str | None) -> None:
    """Mount the page at `/`; the application's other routes take precedence.

    Args:
        app: the application.
        service: that predicts.
        samples: images to try.
        token: password of the page's login; None for no login.
    """

    async def mount() -> None:
        gradio.mount_gradio_app(
            app,
            _page(service, samples),
            path="/",
            auth=(USER, token) if token else None,
            auth_message=f"User {USER}, and the server's token as password.",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            theme=gradio.themes.Base(font=_SYSTEM, font_mono=("ui-monospace", "monospace")),
            css=_read("page.css"),
        )

    # Where no event loop runs, Gradio creates some and leaves them open.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, mount()).result()
    app.add_middleware(FenceMiddleware)


class FenceMiddleware:
    """Blocks Gradio routes that the page does not need: uploads, files of the server, downloads, its queue.

    Args:
        app: with Gradio's routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = PlainTextResponse("Not Found", 404)
        await (refused if _closed(scope) else self.app)(scope, receive, send)


def _closed(scope: Scope) -> bool:
    path = route_path(scope)
    # Form parts would be stored in files until they were read.
    forms = any(name == b"content-type" and value.lower().startswith(b"multipart") for name, value in scope["headers"])
    return path.startswith(_CLOSED) and (forms or not path.startswith(_NEEDED))


def _page(service: Service, samples: Sequence[Upload]) -> gradio.Blocks:
    config = service.predictor.config
    outputs = [
        *(["outline"] if config.segmenter else []),
        *config.classifiers,
        *(["saliency"] if config.classifiers else []),
    ]
    markup = _TEMPLATES.get_template("page.html.j2").render(
        max_bytes=_max_bytes(service.limits),
        notice=NOTICE,
        outputs=" and ".join(filter(None, [", ".join(outputs[:-1]), outputs[-1]])).capitalize(),
        samples=[(sample.name, _thumbnail(sample)) for sample in samples],
    )
    page = gradio.Blocks(title="selcn", analytics_enabled=False)
    with page:
        gradio.HTML(markup, js_on_load=_read("page.js"), server_functions=[_predictor(service, samples)])
    return page


def _predictor(service: Service, samples: Sequence[Upload]) -> Callable[[Any], Awaitable[str]]:
    async def answer(sent: Any) -> str:  # noqa: ANN401 - whatever a client sends
        try:
            (predicted,) = await service.predict([_upload(sent, samples)])
        except SelcnError as refusal:
            return _TEMPLATES.get_template("answer.html.j2").render(images=[{"error": str(refusal)}])
        return await service.threads.call(predicted.pixels, show_answer, predicted, service.predictor.config)

    return answer


def _upload(sent: object, samples: Sequence[Upload]) -> Upload:
    match sent:
        case {"sample": int(number)} if 0 <= number < len(samples):
            return samples[number]
        case {"name": str(name), "data": str(data)}:
            try:
                return Upload(base_name(name), base64.b64decode(data, validate=True))
            except binascii.Error:
                pass
    raise DataError("no picture came; choose one")


def _max_bytes(limits: Limits) -> int:
    """Largest image file in bytes, since base64 makes four of three."""
    return limits.body * 3 // 4 - 4096


def _thumbnail(sample: Upload) -> str:
    image = decode_frames(sample.data, Path(sample.name))[0]
    return embed(resize(image, panel_size(image, 1, _THUMBNAIL)), "jpeg")


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def show_answer(predicted: PredictedUpload, config: BundleConfig) -> str:
    """HTML of an upload's images with outline and saliency, probabilities, warnings and the row to download.

    Args:
        predicted: the upload with its predictions.
        config: of the bundle.
    """
    images = [
        _shown(row, image, prediction, config)
        for row, image, prediction in zip(predicted.rows(), predicted.images, predicted.predictions, strict=False)
    ]
    images = images or [{"error": str(predicted.error)}]
    return _TEMPLATES.get_template("answer.html.j2").render(images=images, notice=NOTICE)


def _shown(row: Row, image: np.ndarray, prediction: Prediction, config: BundleConfig) -> dict[str, Any]:
    """The template's fields of one image."""
    small = resize(image, panel_size(image, 1, MAX_WIDTH))
    lesion, target = prediction.lesion, prediction.target
    unsure = [f"The likeliest {target} is too improbable to rely on."] if prediction.abstain else []
    names = sorted(prediction.results, key=lambda name: name != target)
    likeliest = {name: config.labels(name).long_name(prediction[name].prediction) for name in names}
    return {
        "error": None,
        "name": row["image"] if "frame" not in row else f"{row['image']}, frame {row['frame'] + 1}",
        "title": f"Likeliest: {', '.join(likeliest.values())}" if likeliest else "Outline of the lesion",
        "size": prediction.size,
        "picture": embed(small, "jpeg"),
        "outline": "" if lesion is None else " ".join(f"{x},{y}" for x, y in lesion.outline.tolist()),
        "panels": _panels(prediction, likeliest, (small.shape[1], small.shape[0])),
        "warnings": [*unsure, *(f"{warning.capitalize()}." for warning in prediction.warnings)],
        "tables": [_table(prediction, name, config) for name in names],
        "json": data_uri("application/json", json.dumps(row, indent=1).encode()),
        "file": f"{Path(row['image']).stem}.json",
    }


def _panels(prediction: Prediction, likeliest: dict[str, str], size: tuple[int, int]) -> list[tuple[str, str | None]]:
    """Captions and saliency layers to put over the image: none for the first panel, then one a classifier."""
    lesion = prediction.lesion
    caption = "The picture"
    if lesion is not None:
        share = f"{100 * lesion.mask.mean():.0f} % of the image" if len(lesion.outline) else "none found"
        caption = f"Outline of the lesion: {share}"
    layers = {name: embed(saliency_layer(one.saliency, size), "png") for name, one in prediction.results.items()}
    return [(caption, None), *((f"Saliency of the {name}: {likeliest[name]}", layer) for name, layer in layers.items())]


def _table(prediction: Prediction, name: str, config: BundleConfig) -> tuple[str, list[tuple[str, float]]]:
    """Title and probabilities of a classifier: the target's ranked, others in the order of their classes."""
    labels, probabilities = config.labels(name), list(prediction[name].probabilities.items())
    title = name.capitalize()
    if name == prediction.target:
        measured = config.reliability is not None and name in config.reliability.networks
        title += ", calibrated" if measured else ", not calibrated"
        probabilities.sort(key=lambda item: -item[1])
    return title, [(labels.long_name(label), probability) for label, probability in probabilities]
