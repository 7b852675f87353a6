"""Makes a catalog of images that are no usual dermoscopy, for `selcn evaluate RUN --ood`.

python docs/results/strange.py PHOTOGRAPHS ISIC2017.csv OUT

PHOTOGRAPHS is a folder of pictures that are no dermoscopy, such as `skimage/data` of the package scikit-image;
ISIC2017.csv the catalog of `selcn index isic`, whose seborrheic keratoses are from other clinics and squeezed to
squares. Noise, blank frames and the phantom are made here. OUT/catalog.csv says in `source` which kind an image is.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import complete_catalog, read_catalog, write_catalog
from selcn.data.imaging.read import write_image
from selcn.data.phantom import write_phantom

COUNT, SIZE, SMALL = 100, (200, 150), 65_536
"""Images a kind that is made here, their size, and bytes of a photograph that is too small to be one."""


def made(out: Path) -> pd.DataFrame:
    """Noise and blank frames."""
    rng, rows = np.random.default_rng(0), []
    for number in range(COUNT):
        for kind in ("noise", "blank frame"):
            shape = (SIZE[1], SIZE[0], 3) if kind == "noise" else (1, 1, 3)
            pixels = np.broadcast_to(rng.integers(0, 256, shape, dtype=np.uint8), (SIZE[1], SIZE[0], 3))
            path = out / f"{kind.replace(' ', '-')}-{number:03}.png"
            write_image(path, np.ascontiguousarray(pixels))
            rows.append({"image_id": path.stem, "image_path": str(path.resolve()), "source": kind})
    return pd.DataFrame(rows)


def photographs(folder: Path) -> pd.DataFrame:
    """The pictures of a folder, but small files, which are drawings and masks."""
    paths = [
        path for path in sorted(folder.iterdir()) if path.suffix in {".png", ".jpg"} and path.stat().st_size > SMALL
    ]
    rows = [{"image_id": path.stem, "image_path": str(path.resolve()), "source": "photograph"} for path in paths]
    return pd.DataFrame(rows)


def main(folder: Path, isic: Path, out: Path) -> None:
    """Write the catalog."""
    out.mkdir(parents=True)
    phantom = read_catalog(write_phantom(out / "phantom", images=COUNT, seed=0, size=SIZE)).assign(source="phantom")
    keratoses = read_catalog(isic).query("diagnosis == 'seborrheic-keratosis'").assign(source="keratosis, ISIC 2017")
    parts = [made(out), photographs(folder), phantom[["image_id", "image_path", "source"]]]
    table = pd.concat([*parts, keratoses[["image_id", "image_path", "source"]]], ignore_index=True)
    write_catalog(complete_catalog(table, "strange"), out / "catalog.csv")
    print(table["source"].value_counts().to_string())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
