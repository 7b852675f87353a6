"""A 12-megapixel JPEG down to the network's size: Pillow's whole decode and resize, and libjpeg's scaling (`--draft`).

Synthetic lesions, drawn at 2000x1500, enlarged, with noise as of a sensor; beside it, how far the answers of the bundle
that ships are apart. The peer leaves Pillow's own `draft` unused, as scripts do.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import selcn
from selcn.data.catalog import read_catalog
from selcn.data.imaging.prepare import smallest_size
from selcn.data.imaging.read import read_image, write_image
from selcn.data.phantom import write_phantom
from selcn.inference.inputs import Item
from selcn.inference.result import prepare
from timing import medians

IMAGES, TIMED, DRAWN, SIZE, NOISE, REPEATS = 8, 4, (2000, 1500), (4000, 3000), 8, 5


def measure() -> dict[str, float]:
    """Milliseconds of both, their ratio, and how the answers differ."""
    predictor, rng = selcn.load(), np.random.default_rng(0)
    wanted = predictor.config.prepare
    with tempfile.TemporaryDirectory() as name:
        catalog = write_phantom(Path(name) / "phantom", images=IMAGES, seed=0, size=DRAWN)
        paths = [Path(name) / f"{number}.jpg" for number in range(IMAGES)]
        for path, drawn in zip(paths, read_catalog(catalog)["image_path"], strict=True):
            large = cv2.resize(read_image(Path(drawn)), SIZE, interpolation=cv2.INTER_CUBIC)
            noisy = large.astype(np.float32) + rng.normal(0, NOISE, large.shape)
            write_image(path, noisy.clip(0, 255).astype(np.uint8))
        smallest = smallest_size(wanted.size, wanted.hair)

        def pillow() -> None:
            for path in paths[:TIMED]:
                with Image.open(path) as image:
                    np.asarray(image.resize(wanted.size, Image.Resampling.BOX))

        def entropy() -> None:
            for path in paths[:TIMED]:
                with Image.open(path) as image:
                    image.draft(None, smallest)
                    image.load()

        def decoded(smallest: tuple[int, int] | None, count: int = TIMED) -> np.ndarray:
            frames = [Item(str(path), None, "", smallest).frames()[0][0] for path in paths[:count]]
            return np.stack([prepare(frame, predictor.config) for frame in frames])

        works = {
            "Pillow": pillow,
            "selcn, whole": lambda: decoded(None),
            "selcn, --draft": lambda: decoded(smallest),
            "libjpeg's scaled decoding alone": entropy,
        }
        taken = medians(works, REPEATS)
        answers = [
            predictor.run(decoded(one, IMAGES)).probabilities[predictor.config.target] for one in (None, smallest)
        ]
    apart = np.abs(answers[0] - answers[1]).max(axis=1)
    result = {f"{work}, ms an image": 1000 * seconds / TIMED for work, seconds in taken.items()}
    return {
        **result,
        "--draft to libjpeg's scaled decoding alone": taken["selcn, --draft"]
        / taken["libjpeg's scaled decoding alone"],
        "ratio": taken["Pillow"] / taken["selcn, --draft"],
        "images whose answers are compared": IMAGES,
        "largest difference of a probability of an image, median": float(np.median(apart)),
        "the same, largest": float(apart.max()),
        "equal predictions, share": float(np.mean(answers[0].argmax(axis=1) == answers[1].argmax(axis=1))),
    }


if __name__ == "__main__":
    print(measure())
