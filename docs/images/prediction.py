"""Draw the README's first picture, an answer of the bundle that ships: `python docs/images/prediction.py`."""

from pathlib import Path

from PIL import Image

import selcn
from selcn.data.imaging.read import read_image
from selcn.data.samples import dermoscopy_samples

OUT = Path(__file__).parent / "prediction.jpg"
SHOWN = "ISIC_0000166"


def main() -> None:
    """Write the picture."""
    sample = next(one for one in dermoscopy_samples() if one.isic_id == SHOWN)
    image = read_image(sample.path)
    about = [f"{sample.isic_id}, ISIC archive, CC0; diagnosis in the archive: {sample.diagnosis}"]
    drawn = selcn.draw_overlay(image, selcn.load().predict(image), about)
    Image.fromarray(drawn).save(OUT, quality=85)


if __name__ == "__main__":
    main()
