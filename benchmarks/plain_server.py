"""A server under 50 clients and a plain FastAPI route around the same bundle: answers a second, and how late they come.

python benchmarks/plain_server.py BUNDLE FOLDER_OF_REAL_PICTURES [SECONDS]

The plain route is what one writes in a minute: a synchronous function that decodes, predicts one image and answers;
FastAPI runs it in its pool of threads. Both use the same engine. Turns alternate.
"""

import asyncio
import statistics
import sys
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

import selcn
from clients import crowd, engine_of, listening, serving
from many import networks_alone
from selcn.data.imaging.read import decode_frames
from selcn.inference.result import prepare

TURNS = 3
FIGURES = ("answers a second", "median seconds to an answer", "95 % of answers within, seconds")


def plain_app(bundle: Path, engine: str) -> FastAPI:
    """The plain route."""
    app, predictor = FastAPI(), selcn.load(bundle, engine=engine)

    @app.post("/v1/predict")
    async def predict(request: Request) -> dict[str, object]:
        data = await request.body()
        return await run_in_threadpool(
            lambda: dict(predictor.predict(decode_frames(data, Path("upload"))[0]).to_json())
        )

    return app


def measure(bundle: Path, originals: Path, seconds: float = 20) -> dict[str, float]:
    """Medians of both over turns, and ratios."""
    pictures = [path.read_bytes() for path in sorted(originals.glob("*.jpg"))]
    plain = [sys.executable, __file__, "--serve", str(bundle), engine_of(bundle)]
    found: dict[str, list[dict[str, float]]] = {"server": [], "plain FastAPI": []}
    with serving(bundle) as ours, listening(plain) as theirs:
        for _ in range(TURNS):
            for rows, (address, pid) in zip(found.values(), (ours, theirs), strict=True):
                rows.append(asyncio.run(crowd(address, pid, pictures, seconds)))
    predictor = selcn.load(bundle, engine=engine_of(bundle))
    prepared = [prepare(decode_frames(data, Path("picture"))[0], predictor.config) for data in pictures]
    networks = len(prepared) / networks_alone(predictor, prepared)
    middle = {name: [statistics.median(row[one] for row in rows) for one in FIGURES] for name, rows in found.items()}
    mine, other = middle.values()
    return {
        **{f"{name}: {one}": value for name, row in middle.items() for one, value in zip(FIGURES, row, strict=True)},
        "networks alone, images a second": networks,
        "server to networks alone": networks / mine[0],
        "ratio of answers a second": mine[0] / other[0],
        "ratio of the 95 % times": other[2] / mine[2],
    }


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        import uvicorn

        uvicorn.run(plain_app(Path(sys.argv[2]), sys.argv[3]), port=int(sys.argv[4]), log_level="error")
    else:
        print(measure(Path(sys.argv[1]), Path(sys.argv[2]), *(float(given) for given in sys.argv[3:])))
