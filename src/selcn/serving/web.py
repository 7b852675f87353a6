"""The web page at `/`: drop an image or pick a sample, and see the bundle's prediction.

Gradio provides layout, theme and login. Its other services, above all files that are stored in a folder on the disk,
are blocked: an image arrives as base64 within one call and never becomes a file. The prediction is HTML with embedded
images, so that none of them need be kept.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio
from fastapi import FastAPI
from gradio.context import Context
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import decode_frames
from selcn.errors import DataError, SelcnError
from selcn.inference.overlay import embed, panel_size
from selcn.serving.about import ModelFacts, model_facts
from selcn.serving.answer import TEMPLATES, show_answer, show_error
from selcn.serving.middleware import route_path
from selcn.serving.service import NOTICE, Service
from selcn.serving.uploads import Limits, Upload, base_name

USER = "selcn"
_HERE = Path(__file__).parent
_SYSTEM = ("system-ui", "sans-serif")
_THUMBNAIL = 200
_CALLS = "/gradio_api/"
_NEEDED = tuple(_CALLS + name for name in ("component_server", "heartbeat/", "login_check", "startup-events", "user"))
_CLOSED = (_CALLS, "/monitoring", "/svelte")


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
    config, facts = service.predictor.config, model_facts(service.predictor, service.identity)
    outputs = [
        *(["outline"] if config.segmenter else []),
        *config.classifiers,
        *(["saliency"] if config.classifiers else []),
    ]
    markup = TEMPLATES.get_template("page.html.j2").render(
        max_bytes=_max_bytes(service.limits),
        seconds=service.limits.seconds,
        notice=NOTICE,
        facts=facts,
        outputs=" and ".join(filter(None, [", ".join(outputs[:-1]), outputs[-1]])).capitalize(),
        samples=[(sample.name, _thumbnail(sample)) for sample in samples],
    )
    # A page that is open while the bundles are read again asks the new one for the same component.
    Context.id = 0
    page = gradio.Blocks(title="selcn", analytics_enabled=False)
    with page:
        gradio.HTML(markup, js_on_load=_read("page.js"), server_functions=[_predictor(service, samples, facts)])
    return page


def _predictor(service: Service, samples: Sequence[Upload], facts: ModelFacts) -> Callable[[Any], Awaitable[str]]:
    async def answer(sent: Any) -> str:  # noqa: ANN401 - whatever a client sends
        try:
            (predicted,) = await service.predict([_upload(sent, samples)])
        except SelcnError as refusal:
            return show_error(str(refusal))
        config = service.predictor.config
        with service.metrics.stage("render"):
            return await service.threads.call(predicted.pixels, show_answer, predicted, config, facts)

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
