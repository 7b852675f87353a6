"""A 12-megapixel JPEG down to the network's size: Pillow's whole decode and resize, and libjpeg's scaling (`--draft`).

Synthetic lesions, drawn at 2000x1500 and enlarged; beside it, how far the answers of the bundle that ships are apart.
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

IMAGES, DRAWN, SIZE, REPEATS = 4, (2000, 1500), (4000, 3000), 5


def measure() -> dict[str, float]:
    """Milliseconds of both, their ratio, and the largest difference of a probability."""
    predictor = selcn.load()
    wanted = predictor.config.prepare
    with tempfile.TemporaryDirectory() as name:
        catalog = write_phantom(Path(name) / "phantom", images=IMAGES, seed=0, size=DRAWN)
        paths = [Path(name) / f"{number}.jpg" for number in range(IMAGES)]
        for path, drawn in zip(paths, read_catalog(catalog)["image_path"], strict=True):
            write_image(path, cv2.resize(read_image(Path(drawn)), SIZE, interpolation=cv2.INTER_CUBIC))
        smallest = smallest_size(wanted.size, wanted.hair)

        def pillow() -> None:
            for path in paths:
                with Image.open(path) as image:
                    np.asarray(image.resize(wanted.size, Image.Resampling.BOX))

        def entropy() -> None:
            for path in paths:
                with Image.open(path) as image:
                    image.draft(None, smallest)
                    image.load()

        def decoded(smallest: tuple[int, int] | None) -> np.ndarray:
            frames = [Item(str(path), None, "", smallest).frames()[0] for path in paths]
            return np.stack([prepare(frame, predictor.config) for frame in frames])

        works = {
            "Pillow": pillow,
            "selcn, whole": lambda: decoded(None),
            "selcn, --draft": lambda: decoded(smallest),
            "libjpeg's scaled decoding alone": entropy,
        }
        taken = medians(works, REPEATS)
        answers = [predictor.run(decoded(one)).probabilities[predictor.config.target] for one in (None, smallest)]
    result = {f"{work}, ms an image": 1000 * seconds / IMAGES for work, seconds in taken.items()}
    return {
        **result,
        "--draft to libjpeg's scaled decoding alone": taken["selcn, --draft"]
        / taken["libjpeg's scaled decoding alone"],
        "ratio": taken["Pillow"] / taken["selcn, --draft"],
        "largest difference of a probability": float(np.abs(answers[0] - answers[1]).max()),
    }


if __name__ == "__main__":
    print(measure())
