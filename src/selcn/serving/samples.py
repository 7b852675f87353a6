"""Pictures to try the page with: those of a folder, or synthetic ones drawn for it."""

from pathlib import Path

import cv2

from selcn.data.discovery import find_images
from selcn.data.imaging.read import read_bytes
from selcn.data.phantom.plan import plan_lesions
from selcn.data.phantom.write import photograph_lesion
from selcn.labels import Diagnosis
from selcn.serving.bodies import Sent

MOST = 8
_SEED, _SIZE = 7, (480, 360)
_DRAWN = (Diagnosis.NV, Diagnosis.MEL, Diagnosis.BCC, Diagnosis.DF)


def read_samples(folder: Path) -> list[Sent]:
    """The first few pictures of a folder.

    Raises:
        DataError: it holds none, or one cannot be read.
    """
    return [Sent(path.name, read_bytes(path)) for path in find_images(folder)[:MOST]]


def draw_samples() -> list[Sent]:
    """Synthetic lesions of some diagnoses, the same at every start, kept in memory alone."""
    plans = list(plan_lesions(100, _SEED))
    chosen = [next(plan for plan in plans if plan.diagnosis == diagnosis) for diagnosis in _DRAWN]
    pictures = [next(photograph_lesion(plan, _SEED, _SIZE)).image for plan in chosen]
    return [
        Sent(f"synthetic {plan.diagnosis.spelled}", cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
        for plan, picture in zip(chosen, pictures, strict=True)
    ]
