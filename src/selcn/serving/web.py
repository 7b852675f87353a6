"""The page for a person at `/`: drop a picture or pick a sample, and look at what the bundle says of it.

Gradio draws it, themes it and asks for the login. What it would offer besides, above all files that come and go through
a folder on the disk, is fenced off: a picture comes as text within one call and is never a file.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio
from fastapi import FastAPI, HTTPException
from starlette.responses import PlainTextResponse

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import decode_frames
from selcn.inference.overlay import embed, panel_size
from selcn.serving.bodies import Sent, base_name
from selcn.serving.limits import App, Limits, Receive, Scope, Send
from selcn.serving.looks import ENVIRONMENT, show
from selcn.serving.service import NOTICE, Service

USER = "selcn"
_HERE = Path(__file__).parent
_SYSTEM = ("system-ui", "sans-serif")
_THUMBNAIL = 200
_CALLS = "/gradio_api/"
_NEEDED = tuple(_CALLS + name for name in ("component_server", "heartbeat/", "login_check", "startup-events", "user"))
_CLOSED = (_CALLS, "/monitoring", "/svelte")


def mount_page(app: FastAPI, service: Service, samples: list[Sent], token: str | None) -> None:
    """Put the page on an application, below all other paths; with a token, behind a login of that password."""

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

    # Where no event loop runs, Gradio makes some and leaves them open.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, mount()).result()
    app.add_middleware(Fenced)


class Fenced:
    """Closes what Gradio offers and the page does not need: uploads, files of the server, downloads, its queue.

    Args:
        app: what is fenced.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = PlainTextResponse("Not Found", 404)
        await (refused if _closed(scope) else self.app)(scope, receive, send)


def _closed(scope: Scope) -> bool:
    path = scope.get("path", "")
    # Parts of a form would lie in files until they were read.
    forms = any(name == b"content-type" and value.lower().startswith(b"multipart") for name, value in scope["headers"])
    return path.startswith(_CLOSED) and (forms or not path.startswith(_NEEDED))


def _page(service: Service, samples: list[Sent]) -> gradio.Blocks:
    markup = ENVIRONMENT.from_string(_read("page.html.j2")).render(
        most=_most(service.limits), notice=NOTICE, samples=[(sample.name, _thumbnail(sample)) for sample in samples]
    )
    page = gradio.Blocks(title="selcn", analytics_enabled=False)
    with page:
        gradio.HTML(markup, js_on_load=_read("page.js"), server_functions=[_looker(service, samples)])
    return page


def _looker(service: Service, samples: list[Sent]) -> Callable[[Any], Awaitable[str]]:
    async def look(asked: Any) -> str:  # noqa: ANN401 - whatever a browser, or somebody else, sends
        try:
            answered = await service.answer([_sent(asked, samples)])
        except HTTPException as refusal:
            return f'<p class="wrong" role="alert">{refusal.detail}</p>'
        return await service.aside(show, answered, service.predictor.config)

    return look


def _sent(asked: object, samples: list[Sent]) -> Sent:
    match asked:
        case {"sample": int(number)} if 0 <= number < len(samples):
            return samples[number]
        case {"name": str(name), "data": str(data)}:
            try:
                return Sent(base_name(name), base64.b64decode(data, validate=True))
            except binascii.Error:
                pass
    raise HTTPException(400, "no picture came; choose one")


def _most(limits: Limits) -> int:
    """Bytes that a picture may have, since three of them become four on their way."""
    return limits.body * 3 // 4 - 4096


def _thumbnail(sample: Sent) -> str:
    picture = decode_frames(sample.data, Path(sample.name))[0]
    return embed(resize(picture, panel_size(picture, 1, _THUMBNAIL)), "jpeg")


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
