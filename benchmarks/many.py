"""`selcn predict` of 2,000 JPEG files with and without overlays, beside a loop that ends with the same outputs.

python benchmarks/many.py BUNDLE FOLDER_OF_IMAGES [COUNT]

The loop is what a script would do: read, predict one image, write JSON and overlay. It uses the same networks and
saliency in closed form, so that the ratio is that of batches, threads and overlapped work alone. The floor is the
networks alone, images already prepared. Memory is the peak of each in a process of its own; its floor is that of the
loaded bundle after one batch.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

import selcn
from selcn.data.discovery import find_images
from selcn.data.imaging.read import read_image, write_image
from selcn.inference.batch import OutputOptions, predict_files
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.inference.result import prepare
from timing import seconds

COUNT, SOME, BATCH = 2_000, 256, 8
Peak = tuple[float, float]


def together(bundle: Path, paths: list[Path], out: Path, overlays: bool) -> Peak:
    """Seconds and peak MiB of `selcn predict`."""
    predictor = selcn.load(bundle)
    items, options = [Item(str(path)) for path in paths], OutputOptions(overlays=overlays)
    return seconds(lambda: predict_files([predictor], items, out, options=options)), peak()


def one_by_one(bundle: Path, paths: list[Path], out: Path, overlays: bool) -> Peak:
    """Seconds and peak MiB of the loop."""
    predictor = selcn.load(bundle)

    def loop() -> None:
        for path in paths:
            image = read_image(path)
            prediction = predictor.predict(image)
            (out / f"{path.stem}.json").write_text(json.dumps(prediction.to_json()))
            if overlays:
                write_image(out / f"{path.stem}.jpg", selcn.draw_overlay(image, prediction))

    return seconds(loop), peak()


def alone(bundle: Path, paths: list[Path], out: Path, overlays: bool) -> Peak:
    """Seconds of the networks alone for as many images, told from some of them, and peak MiB."""
    del out, overlays
    predictor = selcn.load(bundle)
    some = [prepare(read_image(path), predictor.config) for path in paths[:SOME]]
    return networks_alone(predictor, some) * len(paths) / len(some), peak()


def networks_alone(predictor: Predictor, prepared: list[np.ndarray]) -> float:
    """Seconds of the networks for prepared images, in batches, as many at once as is best."""
    batches = [np.stack(prepared[start : start + BATCH]) for start in range(0, len(prepared), BATCH)]
    with ThreadPoolExecutor(predictor.at_once) as pool:
        list(pool.map(predictor.run, batches[: predictor.at_once]))
        return seconds(lambda: list(pool.map(predictor.run, batches)))


def loaded(bundle: Path, paths: list[Path], out: Path, overlays: bool) -> Peak:
    """No time, and MiB of the bundle and one batch."""
    del out, overlays
    images: list[np.ndarray] = [read_image(path) for path in islice(paths, BATCH)]
    selcn.load(bundle).predict_batch(images)
    return 0.0, peak()


def peak() -> float:
    """MiB at most held by this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(work: Callable[[Path, list[Path], Path, bool], Peak], *given: object) -> Peak:
    """The same in a process of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        bundle, paths, overlays = given
        return pool.submit(work, bundle, paths, Path(folder), overlays).result()  # type: ignore[arg-type]


def measure(bundle: Path, images: Path, count: int = COUNT) -> dict[str, float]:
    """Images a second of both, ratios, and memory."""
    paths = find_images(images)[:count]
    floor, networks = apart(loaded, bundle, paths, False)[1], apart(alone, bundle, paths, False)[0]
    found: dict[str, float] = {"images": len(paths), "MiB of bundle and one batch": floor}
    found["networks alone, images/s"] = len(paths) / networks
    for overlays in (False, True):
        what = "with overlays" if overlays else "without overlays"
        ours, held = apart(together, bundle, paths, overlays)
        theirs, _ = apart(one_by_one, bundle, paths, overlays)
        found |= {
            f"{what}: selcn predict, images/s": len(paths) / ours,
            f"{what}: loop, images/s": len(paths) / theirs,
            f"{what}: ratio": theirs / ours,
            f"{what}: selcn predict to networks alone": ours / networks,
            f"{what}: peak MiB": held,
            f"{what}: peak to bundle and one batch": held / floor,
        }
    return found


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), Path(sys.argv[2]), *(int(given) for given in sys.argv[3:])))
