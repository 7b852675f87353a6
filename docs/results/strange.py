"""Makes a catalog of images that are no usual dermoscopy, for `selcn evaluate RUN --ood`.

python docs/results/strange.py PHOTOGRAPHS ISIC2017.csv OUT
python docs/results/strange.py BUNDLE OUT                     # which share of each kind a bundle warns of: strange.csv

PHOTOGRAPHS is a folder of pictures that are no dermoscopy, such as `skimage/data` of the package scikit-image;
ISIC2017.csv the catalog of `selcn index isic`, whose seborrheic keratoses are from other clinics and squeezed to
squares. Noise, blank frames and the phantom are made here. OUT/catalog.csv says in `source` which kind an image is.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from score import BATCH, load
from selcn.data.catalog import complete_catalog, read_catalog, write_catalog
from selcn.data.imaging.read import read_image, write_image
from selcn.data.phantom import write_phantom

WARNED = Path(__file__).parent / "ham10000-bundle" / "strange.csv"
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


def warned(bundle: Path, out: Path) -> None:
    """Write which share of each kind of image a bundle warns of."""
    predictor, table = load(bundle), read_catalog(out / "catalog.csv")
    found: list[bool] = []
    for start in range(0, len(table), BATCH):
        images = [read_image(Path(path)) for path in table["image_path"][start : start + BATCH]]
        found += [bool(one.warnings) for one in predictor.predict_batch(images)]
    shares = table.assign(warned=found).groupby("source", sort=False)["warned"].agg(["size", "mean"])
    shares.rename(columns={"size": "images", "mean": "warned"}).to_csv(WARNED)


if __name__ == "__main__":
    paths = [*map(Path, sys.argv[1:])]
    warned(*paths) if len(paths) == 2 else main(*paths)
