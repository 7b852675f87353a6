"""From uploads to predictions: decoded in parallel, predicted in shared batches."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import claimed_pixels, decode_frames
from selcn.errors import ConfigError, DataError, SelcnError
from selcn.inference.given import NOTHING, Given, check_frames
from selcn.inference.overlay import PANEL_WIDTHS, embed, panel_size, render
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction, describe, prepare
from selcn.inference.row import Row, file_rows
from selcn.serving.batching import Batcher, OutputsRow
from selcn.serving.given import GivenError
from selcn.serving.monitoring import ServerMetrics
from selcn.serving.room import MAX_ORDINARY, Room, Threads
from selcn.serving.schema import Identity
from selcn.serving.uploads import Limits, Upload

_LOGGER = logging.getLogger(__name__)
NOTICE = "Research tool, not a medical device."
_REMEDIES = {
    "unreadable": "send JPEG, PNG, TIFF, BMP, WebP or DICOM of 8 or 16 bits",
    "truncated": "send the whole file",
    "too-large": "send a smaller image",
}
_ENCODINGS = {"overlay": "jpeg", "mask": "png"}


class AnswerTimeout(SelcnError):  # noqa: N818 - as Python's own
    """The prediction took too long."""


@dataclass(frozen=True, eq=False)
class PredictedUpload:
    """The predictions of an upload, one a frame; or the error that prevented them.

    Attributes:
        name: of the upload.
        images: of its frames, uint8 RGB (H, W, 3), shrunk to the width of overlays.
        predictions: one a frame.
        error: why the upload could not be read; None where it could.
    """

    name: str
    images: Sequence[np.ndarray] = ()
    predictions: Sequence[Prediction] = ()
    error: DataError | None = None

    @property
    def pixels(self) -> int:
        """Of all its frames."""
        return sum(width * height for width, height in (one.size for one in self.predictions))

    def rows(self, *, pictures: bool = False) -> list[Row]:
        """The rows of its frames, as JSON holds them.

        Args:
            pictures: whether rows also hold overlay and mask as data URIs.
        """
        rows = file_rows(self.name, self.error or self.predictions)
        if pictures:
            for row, image, prediction in zip(rows, self.images, self.predictions, strict=False):
                drawn = render(image, prediction, [f"file: {self.name}"])
                row |= {key: embed(one, _ENCODINGS[key]) for key, one in drawn.items()}
        return rows


class _Frame(NamedTuple):
    """A shrunk image for overlays, the prepared image, the original width and height, and what is given of it."""

    image: np.ndarray
    prepared: np.ndarray
    size: tuple[int, int]
    given: Given


class Resources:
    """What all bundles of a server share.

    Args:
        limits: of requests and images.
        metrics: where outcomes are counted.
    """

    def __init__(self, limits: Limits, metrics: ServerMetrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.room, self.threads = Room(limits.waiting, limits.waiting_pixels), Threads()


class Service:
    """Predicts uploads with a bundle.

    Args:
        predictor: of the bundle.
        shared: with the server's other bundles.
    """

    def __init__(self, predictor: Predictor, shared: Resources) -> None:
        self.predictor, self.metrics, self.limits = predictor, shared.metrics, shared.limits
        self.room, self.threads = shared.room, shared.threads
        self.identity = Identity(
            name=predictor.name, hash=predictor.digest, engine=predictor.engine, selcn=version("selcn")
        )
        self.batcher = Batcher(predictor, shared.metrics)

    @property
    def ready(self) -> bool:
        """Whether the networks have predicted."""
        return self.batcher.ready

    async def run(self) -> None:
        """Predict until cancelled; a blank image first, so that no request waits for what the first one loads."""
        warming = asyncio.create_task(self._warm_up())
        try:
            await self.batcher.run()
        finally:
            warming.cancel()
            self.batcher.close()

    async def _warm_up(self) -> None:
        width, height = self.predictor.config.prepare.size
        try:
            await self.batcher.run_one(np.full((height, width, 3), 255, np.uint8))
        except Exception:  # a server that cannot predict says so, by `ready`
            _LOGGER.exception("the networks failed on a blank image")

    async def predict(self, uploads: Sequence[Upload]) -> list[PredictedUpload]:
        """The predictions of uploads, in their order; once cancelled, what was not begun is not done.

        Args:
            uploads: at least one.

        Raises:
            QueueFull: too many images, or pixels of them, are waiting.
            TooManyPixels: the images have more pixels than may ever wait.
            AnswerTimeout: it takes longer than the limit.
            GivenError: what is given of an upload does not fit it or the bundle.
        """
        begun = time.perf_counter()
        try:
            with self.room.of_images(len(uploads)):
                async with asyncio.timeout(self.limits.seconds):
                    return await self._predict_all(uploads)
        except TimeoutError:
            raise AnswerTimeout(f"no answer within {self.limits.seconds:g} s; try again") from None
        finally:
            self.metrics.seconds.observe(time.perf_counter() - begun)

    async def rows(self, predicted: Sequence[PredictedUpload], *, pictures: bool) -> list[Row]:
        """The rows of predicted uploads, rendered in threads.

        Args:
            predicted: the uploads with their predictions.
            pictures: whether rows also hold overlay and mask as data URIs.
        """
        calls = (self.threads.call(one.pixels, self._rows, one, pictures) for one in predicted)
        return [row for rows in await asyncio.gather(*calls) for row in rows]

    def _rows(self, predicted: PredictedUpload, pictures: bool) -> list[Row]:
        with self.metrics.stage("render"):
            return predicted.rows(pictures=pictures)

    async def _predict_all(self, uploads: Sequence[Upload]) -> list[PredictedUpload]:
        measure = (self.threads.call(0, claimed_pixels, upload.data) for upload in uploads)
        # A claim of too many is refused by the decoder, which needs no room for that.
        pixels = [claimed if claimed <= self.limits.pixels else 0 for claimed in await asyncio.gather(*measure)]
        with self.room.of_pixels(sum(one for one in pixels if one > MAX_ORDINARY)):
            return _without_given_error(await asyncio.gather(*map(self._predict_one, uploads, pixels)))

    async def _predict_one(self, upload: Upload, pixels: int) -> PredictedUpload:
        try:
            frames = await self.threads.call(pixels, self._decode, upload)
        except DataError as error:
            self.metrics.pictures.labels(self.identity.name, "unreadable").inc()
            return PredictedUpload(upload.name, error=_for_the_web(error))
        predictions = await asyncio.gather(*map(self._predict_frame, frames))
        self.metrics.count(self.identity.name, predictions)
        return PredictedUpload(upload.name, [frame.image for frame in frames], predictions)

    async def _predict_frame(self, frame: _Frame) -> Prediction:
        row = await self.batcher.run_one(frame.prepared, frame.given)
        return await self.threads.call(frame.size[0] * frame.size[1], self._describe, frame, row)

    def _describe(self, frame: _Frame, row: OutputsRow) -> Prediction:
        with self.metrics.stage("describe"):
            return describe(self.predictor.config, frame.prepared, *row, frame.size, frame.given)

    def _decode(self, upload: Upload) -> list[_Frame]:
        with self.metrics.stage("decode"):
            images = decode_frames(upload.data, Path(upload.name), self.limits.pixels)
        if len(images) > self.limits.pictures:
            raise DataError(f"{upload.name}: holds {len(images)} frames; send at most {self.limits.pictures}")
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        given = self._given(upload, sizes)
        with self.metrics.stage("prepare"):
            return [
                _Frame(_shrink(image), prepare(image, self.predictor.config), size, given)
                for image, size in zip(images, sizes, strict=True)
            ]

    def _given(self, upload: Upload, sizes: Sequence[tuple[int, int]]) -> Given:
        if upload.given is None:
            return NOTHING
        try:
            known = upload.given.read(sizes[0], self.limits.pixels)
            check_frames(known, len(sizes))
            return self.predictor.check(known, sizes[0])
        except (DataError, ConfigError) as error:
            raise GivenError(f"{upload.name}: {error}") from None


def _without_given_error(predicted: list[PredictedUpload]) -> list[PredictedUpload]:
    """All uploads, after making sure that what was given of each was right: a wrong one refuses the whole request."""
    for one in predicted:
        if isinstance(one.error, GivenError):
            raise one.error
    return predicted


def _for_the_web(error: DataError) -> DataError:
    """An error whose remedy is meant for who keeps a catalog, in words for who sent a file."""
    if not isinstance(error, ImageFileError):
        return error
    what = str(error).rpartition("; ")[0] or str(error)
    return ImageFileError(error.kind, f"{what}; {_REMEDIES.get(error.kind, 'send another file')}")


def _shrink(image: np.ndarray) -> np.ndarray:
    """An image no wider than in overlays, since many may wait at once, of fifty megapixels each."""
    widest = PANEL_WIDTHS[1]
    return image if image.shape[1] <= widest else resize(image, panel_size(image, 1, widest))
