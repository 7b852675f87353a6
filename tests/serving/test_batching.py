"""Batches of concurrent requests in the networks."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.serving.batching import MAX_BATCH, Batcher
from selcn.serving.monitoring import ServerMetrics


@pytest.mark.parametrize("at_once", [1, 2])
def test_as_many_batches_are_in_the_networks_as_the_engine_is_best_with(at_once: int) -> None:
    """Each batch waits for its neighbours in the networks, which would break the barrier if it were alone there.

    The threads wait idly before the first image comes, and must not divide what makes one batch.
    """
    meeting, present, most, lock = threading.Barrier(at_once), [0], [0], threading.Lock()

    def infer(prepared: np.ndarray, given: Any) -> Outputs:
        assert len(prepared) == len(given) == MAX_BATCH
        with lock:
            present[0] += 1
            most[0] = max(most[0], present[0])
        meeting.wait(timeout=60)
        with lock:
            present[0] -= 1
        return Outputs(
            None, {"diagnosis": prepared[:, :1, 0, 0].astype(np.float32)}, {}, np.zeros(len(prepared), np.float32)
        )

    async def ask() -> list[float]:
        predictor = cast("Predictor", SimpleNamespace(infer=infer, at_once=at_once))
        batcher = Batcher(predictor, ServerMetrics())
        running = asyncio.create_task(batcher.run())
        await asyncio.sleep(0.05)
        images = [np.full((2, 2, 3), number, np.uint8) for number in range(2 * MAX_BATCH)]
        rows = await asyncio.gather(*map(batcher.run_one, images))
        running.cancel()
        batcher.close()
        return [float(row.outputs.probabilities["diagnosis"][row.number, 0]) for row in rows]

    assert asyncio.run(ask()) == [*range(2 * MAX_BATCH)]
    assert most == [at_once]
