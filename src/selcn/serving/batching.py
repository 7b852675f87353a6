"""Prepared images of concurrent requests in batches; each costs the networks the same, however large it was."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from selcn.inference.given import NOTHING, Given
from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.serving.monitoring import ServerMetrics

MAX_BATCH = 8
WAIT_SECONDS = 0.005
"""Time that the first image of a batch waits for others."""


class OutputsRow(NamedTuple):
    """An image's row of the outputs of its batch."""

    outputs: Outputs
    number: int


class _Waiting(NamedTuple):
    prepared: np.ndarray
    given: Given
    begun: float
    answer: "asyncio.Future[OutputsRow]"


class Batcher:
    """Collects prepared images in batches and puts these through the networks in threads, one a batch at work.

    Args:
        predictor: of a bundle.
        metrics: where times are measured.

    Attributes:
        ready: whether the networks have predicted.
    """

    def __init__(self, predictor: Predictor, metrics: ServerMetrics) -> None:
        self.predictor, self.metrics, self.ready = predictor, metrics, False
        self.queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self.collecting = asyncio.Lock()  # so that two idle threads do not divide what makes one batch
        self.threads = ThreadPoolExecutor(predictor.at_once, thread_name_prefix="networks")

    async def run_one(self, prepared: np.ndarray, given: Given = NOTHING) -> OutputsRow:
        """The outputs of the networks for one image.

        Args:
            prepared: the prepared image, uint8 RGB (h, w, 3).
            given: results of it that go before predicted ones, checked by `Predictor.check`.
        """
        answer: asyncio.Future[OutputsRow] = asyncio.get_running_loop().create_future()
        await self.queue.put(_Waiting(prepared, given, time.perf_counter(), answer))
        return await answer

    def close(self) -> None:
        """Stop the threads after their current batches."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def run(self) -> None:
        """Predict batches until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(self.predictor.at_once):
                lanes.create_task(self._run_one_by_one())

    async def _run_one_by_one(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self.collecting:
                batch = await self._collect()
            try:
                outputs = await loop.run_in_executor(self.threads, self._work, batch)
            except Exception as error:  # a batch that fails must not end the server
                for one in batch:
                    _settle(one.answer, error)
            else:
                self.ready = True
                for number, one in enumerate(batch):
                    _settle(one.answer, OutputsRow(outputs, number))

    def _work(self, batch: list[_Waiting]) -> Outputs:
        for one in batch:
            self.metrics.stages.labels("wait").observe(time.perf_counter() - one.begun)
        with self.metrics.stage("networks"):
            return self.predictor.infer(np.stack([one.prepared for one in batch]), [one.given for one in batch])

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


def _settle(answer: "asyncio.Future[OutputsRow]", result: OutputsRow | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
