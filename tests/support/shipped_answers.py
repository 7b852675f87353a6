"""What the bundle that ships answers: `python tests/support/shipped_answers.py` stores it for the test to compare with.

Run it only when the bundle is meant to answer otherwise.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import selcn
from selcn.data.catalog import read_catalog
from selcn.data.phantom import write_phantom
from selcn.data.samples import dermoscopy_samples
from selcn.inference.result import Prediction

STORED = Path(__file__).parents[1] / "inference" / "shipped_answers.json"


def answers() -> dict[str, dict[str, float]]:
    """Numbers of each answer, by the image's name: of the CC0 samples and of three synthetic images."""
    predictor = selcn.load()
    with TemporaryDirectory() as folder:
        phantom = read_catalog(write_phantom(Path(folder) / "phantom", images=3, seed=5, size=(192, 144), jobs=1))
        paths = [*(sample.path for sample in dermoscopy_samples()), *map(Path, phantom["image_path"])]
        return {path.stem: _numbers(predictor.predict(path)) for path in paths}


def _numbers(prediction: Prediction) -> dict[str, float]:
    """Probabilities, mean saliency, share of the lesion and distance, by name."""
    assert prediction.lesion is not None
    found = {"lesion": float(prediction.lesion.mask.mean()), "distance": prediction.distance}
    for name, result in prediction.results.items():
        found[f"{name} saliency"] = float(result.saliency.mean())
        found |= {f"{name} {label}": value for label, value in result.probabilities.items()}
    return {name: round(value, 6) for name, value in found.items()}


if __name__ == "__main__":
    STORED.write_text(json.dumps(answers(), indent=1) + "\n", encoding="utf-8")
