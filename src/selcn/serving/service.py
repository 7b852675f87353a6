"""How pictures become answers: decoded beside one another, predicted in shared batches."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from fastapi import HTTPException

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import decode_frames
from selcn.errors import DataError
from selcn.inference.overlay import PANEL_WIDTHS, draw_overlay, embed, panel_size
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction, prepare
from selcn.serving.batching import Batcher, Full
from selcn.serving.bodies import Sent
from selcn.serving.limits import Limits
from selcn.serving.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")
NOTICE = "Research tool, not a medical device."


@dataclass(eq=False)
class Answered:
    """A picture, uint8 RGB and no wider than it is drawn, and what was said of it; or why it could not be read."""

    name: str
    frame: int | None = None
    picture: np.ndarray | None = None
    prediction: Prediction | None = None
    error: str | None = None

    def to_json(self, drawn: bool = False) -> dict[str, Any]:
        """As the interface gives it; ``drawn`` adds overlay and mask as data URIs."""
        row: dict[str, Any] = {"image": self.name} | ({} if self.frame is None else {"frame": self.frame})
        if self.prediction is None or self.picture is None:
            return {**row, "error": self.error}
        return row | self.prediction.to_json() | (_drawn(self.picture, self.prediction) if drawn else {})


class _Decoded(NamedTuple):
    """A picture to draw on, the same as the networks see it, and its own width and height."""

    picture: np.ndarray
    prepared: np.ndarray
    size: tuple[int, int]


class Service:
    """Answers pictures of a bundle.

    Args:
        predictor: of the bundle.
        metrics: where outcomes are counted.
        limits: what is taken.
    """

    def __init__(self, predictor: Predictor, metrics: Metrics, limits: Limits) -> None:
        self.predictor, self.metrics, self.limits = predictor, metrics, limits
        self.batcher = Batcher(predictor, limits.waiting)
        self.decoders = ThreadPoolExecutor(thread_name_prefix="decoders")

    def close(self) -> None:
        """End the threads once they are done."""
        self.batcher.close()
        self.decoders.shutdown(wait=False)

    async def answer(self, pictures: list[Sent]) -> list[Answered]:
        """What is said of some pictures, in their order; a picture of many frames gives as many answers.

        Raises:
            HTTPException: 429 when too many wait, 504 when it takes too long.
        """
        try:
            self.batcher.reserve(len(pictures))
        except Full:
            raise HTTPException(429, "too many pictures are waiting; try again", {"Retry-After": "1"}) from None
        begun = time.perf_counter()
        try:
            work = asyncio.gather(*(self._one(picture) for picture in pictures))
            found = await asyncio.wait_for(work, self.limits.seconds)
        except TimeoutError:
            raise HTTPException(504, f"no answer within {self.limits.seconds:g} s; try again") from None
        finally:
            self.batcher.release(len(pictures))
            self.metrics.seconds.observe(time.perf_counter() - begun)
        return [answered for frames in found for answered in frames]

    async def rows(self, answered: list[Answered], *, drawn: bool) -> list[dict[str, Any]]:
        """What the interface gives of answers, drawn and written beside other work."""
        return list(await asyncio.gather(*(self.aside(Answered.to_json, one, drawn) for one in answered)))

    async def aside(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do some work in a thread, beside other requests."""
        return await asyncio.get_running_loop().run_in_executor(self.decoders, partial(work, *given, **named))

    async def _one(self, sent: Sent) -> list[Answered]:
        try:
            frames = await self.aside(self._decode, sent)
        except DataError as error:
            self.metrics.pictures.labels("unreadable").inc()
            return [Answered(sent.name, error=str(error))]
        predictions = await asyncio.gather(*(self.batcher.predict(frame.prepared, frame.size) for frame in frames))
        self.metrics.pictures.labels("predicted").inc(len(predictions))
        numbers = range(len(frames)) if len(frames) > 1 else [None]
        return [
            Answered(sent.name, number, frame.picture, prediction)
            for number, frame, prediction in zip(numbers, frames, predictions, strict=True)
        ]

    def _decode(self, sent: Sent) -> list[_Decoded]:
        pictures = decode_frames(sent.data, Path(sent.name), self.limits.pixels)
        if len(pictures) > self.limits.pictures:
            raise DataError(f"{sent.name}: holds {len(pictures)} frames; send at most {self.limits.pictures}")
        return [
            _Decoded(_small(picture), prepare(picture, self.predictor.config), _size(picture)) for picture in pictures
        ]


def _small(picture: np.ndarray) -> np.ndarray:
    """Many may wait at once, and may be of fifty megapixels each."""
    widest = PANEL_WIDTHS[1]
    return picture if picture.shape[1] <= widest else resize(picture, panel_size(picture, 1, widest))


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _drawn(picture: np.ndarray, prediction: Prediction) -> dict[str, str]:
    mask = prediction.mask.astype(np.uint8) * 255
    return {"overlay": embed(draw_overlay(picture, prediction), "jpeg"), "mask": embed(mask, "png")}
