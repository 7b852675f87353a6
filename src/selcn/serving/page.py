"""The page for a person at `/`: drop a picture or pick a sample, and look at what the bundle says of it."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import gradio
import numpy as np
from fastapi import FastAPI, HTTPException

from selcn.data.images import decode_pictures, resize
from selcn.overlay import panel_size
from selcn.serving.bodies import Sent
from selcn.serving.looks import show
from selcn.serving.service import NOTICE, Service

USER = "selcn"
_THUMBNAIL = 160
_STYLE = Path(__file__).with_name("page.css")
_SYSTEM = ("system-ui", "sans-serif")
_SWEPT = (60, 60)
"""Seconds between sweeps, and of age, of what an upload left that nobody read."""


def mount_page(app: FastAPI, service: Service, samples: list[Sent], token: str | None) -> None:
    """Put the page on an application, below all other paths; with a token, behind a login of that password."""
    _uploads()
    gradio.mount_gradio_app(
        app,
        _page(service, samples),
        path="/",
        auth=(USER, token) if token else None,
        auth_message=f"User {USER}, and the server's token as password.",
        footer_links=[],
        run_history=False,
        max_file_size=service.limits.body,
        ssr_mode=False,
        theme=gradio.themes.Base(font=_SYSTEM, font_mono=("ui-monospace", "monospace")),
        css=_STYLE.read_text(encoding="utf-8"),
    )


@cache
def _uploads() -> None:
    """Where a picture lies from the moment it is sent to the page until it is read; goes with the process."""
    folder = tempfile.mkdtemp(prefix="selcn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = folder


def _page(service: Service, samples: list[Sent]) -> gradio.Blocks:
    async def look(sent: Sent) -> str:
        try:
            answered = await service.answer([sent])
        except HTTPException as refusal:
            return f'<p class="wrong" role="alert">{refusal.detail}</p>'
        return await service.aside(show, answered, service.predictor.config)

    async def dropped(path: str | None) -> tuple[None, str]:
        file = Path(path or "")
        data = file.read_bytes()
        file.unlink()
        return None, await look(Sent(file.name, data))

    async def picked(event: gradio.SelectData) -> str:
        return await look(samples[event.index])

    page = gradio.Blocks(title="selcn", analytics_enabled=False, delete_cache=_SWEPT)
    with page:
        gradio.HTML(f"<h1>selcn</h1><p>Outline, symmetry, saliency and diagnosis of a skin lesion. <b>{NOTICE}</b></p>")
        with gradio.Row():
            with gradio.Column(scale=1, min_width=280):
                drop = gradio.File(label="A dermoscopic picture", height=160)
                gallery = gradio.Gallery(
                    [(_thumbnail(sample), sample.name) for sample in samples],
                    label="Samples",
                    columns=2,
                    height="auto",
                    object_fit="cover",
                    elem_classes="samples",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                )
            with gradio.Column(scale=3, min_width=320):
                looks = gradio.HTML("<p>Drop a picture, or pick a sample. It is not kept.</p>")
        drop.upload(dropped, drop, [drop, looks], concurrency_limit=None, api_visibility="private")
        gallery.select(picked, None, looks, concurrency_limit=None, api_visibility="private")
    return page


def _thumbnail(sample: Sent) -> np.ndarray:
    picture = decode_pictures(sample.data, Path(sample.name))[0]
    return resize(picture, panel_size(picture, 1, _THUMBNAIL))
