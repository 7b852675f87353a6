"""Images of concurrent requests predicted together, with a bounded queue."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from selcn.errors import SelcnError
from selcn.inference.given import NOTHING, Given
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction

MAX_BATCH = 8
WAIT_SECONDS = 0.005
"""Time that the first image of a batch waits for others."""


class QueueFull(SelcnError):  # noqa: N818 - what the queue is
    """The queue has no room for more images."""


class _Waiting(NamedTuple):
    prepared: np.ndarray
    size: tuple[int, int]
    given: Given
    answer: "asyncio.Future[Prediction]"


@dataclass(eq=False)
class Batcher:
    """Collects waiting images in batches and predicts them in a thread.

    Args:
        predictor: of a bundle.
        room: largest number of waiting images.
    """

    predictor: Predictor
    room: int

    def __post_init__(self) -> None:
        self.queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self.waiting = 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="networks")

    def reserve(self, count: int) -> None:
        """Reserve room in the queue, until `release`.

        Args:
            count: number of images.

        Raises:
            QueueFull: there is not enough room.
        """
        if self.waiting + count > self.room:
            raise QueueFull("too many pictures are waiting; try again")
        self.waiting += count

    def release(self, count: int) -> None:
        """Release reserved room in the queue.

        Args:
            count: number of images.
        """
        self.waiting -= count

    async def predict(self, prepared: np.ndarray, size: tuple[int, int], given: Given = NOTHING) -> Prediction:
        """The prediction of one image.

        Args:
            prepared: the prepared image, uint8 RGB (h, w, 3).
            size: width and height of the original image.
            given: results of it that go before predicted ones, checked by `Predictor.check`.
        """
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        await self.queue.put(_Waiting(prepared, size, given, answer))
        return await answer

    def close(self) -> None:
        """Stop the thread after its current batch."""
        self.thread.shutdown(wait=False)

    async def run(self) -> None:
        """Predict batches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._collect()
            try:
                predictions = await loop.run_in_executor(self.thread, self._work, batch)
            except Exception as error:  # a batch that fails must not end the server
                for one in batch:
                    _settle(one.answer, error)
            else:
                for one, prediction in zip(batch, predictions, strict=True):
                    _settle(one.answer, prediction)

    def _work(self, batch: list[_Waiting]) -> list[Prediction]:
        prepared = np.stack([one.prepared for one in batch])
        return self.predictor.predict_prepared(prepared, [one.size for one in batch], [one.given for one in batch])

    async def _collect(self) -> list[_Waiting]:
        batch = [await self.queue.get()]
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while len(batch) < MAX_BATCH:
            left = deadline - asyncio.get_running_loop().time()
            try:
                batch.append(self.queue.get_nowait() if left <= 0 else await asyncio.wait_for(self.queue.get(), left))
            except (asyncio.QueueEmpty, TimeoutError):
                break
        # Requests that were cancelled meanwhile need no prediction.
        return [one for one in batch if not one.answer.cancelled()] or await self._collect()


def _settle(answer: "asyncio.Future[Prediction]", result: Prediction | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
