"""Contact sheets of a run's images: image, mask and the saliency of every network side by side."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from selcn.data.imaging.masking import visible_region
from selcn.data.imaging.prepare import prepare_mask, resize
from selcn.data.imaging.read import read_image, write_image
from selcn.errors import DataError, RunError
from selcn.inference.overlay import PREDICTED_COLOUR, arrange, blend_saliency, draw_outline, panel_size
from selcn.io.progress import OnProgress
from selcn.runs.folder import MASKS, PROBABILITIES, SALIENCY
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run

PANEL_WIDTHS = (240, 320)
MAX_COLUMNS = 5


def write_sheets(run: Run, names: Collection[str], folder: Path, on_progress: OnProgress | None = None) -> int:
    """Draw a sheet an image, `IMAGE_ID.png`, from a run's outputs; return how many were drawn.

    Maps are out of fold, and of the test subset the ensemble's. Each lies over what its network sees of the image.

    Args:
        run: whose networks have finished, at least one classifier.
        names: image_ids, or `all` for all images of its split.
        folder: created where it does not exist.
        on_progress: called with images done and images in all.

    Raises:
        RunError: no classifier has finished.
        DataError: the run has no such image, or its file cannot be read.
    """
    finished = [name for name in run.graph.nodes if run.folder.finished(Step(Kind.OUTPUTS, name))]
    if not set(finished) & run.graph.classifiers.keys():
        raise RunError(f"{run.folder.path}: no classifier has finished; resume the run first")
    dealt = np.sort(np.concatenate([*run.fold_rows, run.test_rows]))
    row_of = {run.table["image_id"].iloc[row]: int(row) for row in dealt}
    unknown = [name for name in names if name != "all" and name not in row_of]
    if unknown:
        raise DataError(f"image {unknown[0]}: is not in the run's split; the first is {next(iter(row_of))}")
    chosen = list(row_of) if "all" in names else list(dict.fromkeys(names))
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(chosen, start=1):
        write_image(folder / f"{name.replace('/', '_')}.png", draw_sheet(run, row_of[name], finished))
        if on_progress:
            on_progress(number, len(chosen))
    return len(chosen)


def draw_sheet(run: Run, row: int, networks: Collection[str]) -> np.ndarray:
    """The sheet of one image, uint8 RGB.

    Args:
        run: of the image.
        row: of the image, in the catalog.
        networks: names of those whose outputs exist.
    """
    entry = run.table.iloc[row]
    image = read_image(Path(entry["image_path"]))
    panel = resize(image, panel_size(image, *PANEL_WIDTHS))
    panels, captions = [panel], [[str(entry["image_id"]), _truth(run, row), "image"]]
    mask = None
    if run.graph.segmenter in networks:
        mask = np.asarray(run.output(str(run.graph.segmenter), MASKS)[row]) > 0
        large = prepare_mask(mask, (panel.shape[1], panel.shape[0]))
        panels += [draw_outline(panel, mask, PREDICTED_COLOUR), np.repeat(large[..., None], 3, axis=2) * np.uint8(255)]
        share = f"{100 * mask.mean():.0f} % of the image"
        captions += [["outline", share, str(run.graph.segmenter)], ["mask", share, str(run.graph.segmenter)]]
    for name, section in run.graph.classifiers.items():
        if name in networks:
            seen = panel if mask is None else _seen(panel, mask, section.masking)
            saliency = np.asarray(run.output(name, SALIENCY)[row])
            panels.append(blend_saliency(seen, saliency))
            probabilities = np.asarray(run.output(name, PROBABILITIES)[row])
            said = _answer(probabilities, section.labels.names)
            captions.append([name, said, f"masking {section.masking}" + ", flat map" * (not saliency.any())])
    return arrange(panels, captions, min(len(panels), MAX_COLUMNS))


def _answer(probabilities: np.ndarray, names: Sequence[str]) -> str:
    """The most probable class, unless a network that measures symmetry has no answer."""
    if np.isnan(probabilities).any():
        return "undefined"
    best = int(probabilities.argmax())
    return f"{names[best]} {probabilities[best]:.2f}"


def _truth(run: Run, row: int) -> str:
    """The true classes that the networks' label sets know."""
    labels = dict.fromkeys(section.labels for section in run.graph.classifiers.values())
    known = (one.class_of(run.table[one.column].iloc[row]) for one in labels if one.column in run.table)
    return ", ".join(word for word in known if word) or "unlabelled"


def _seen(panel: np.ndarray, mask: np.ndarray, masking: str) -> np.ndarray:
    (region,) = visible_region(masking, mask[None])
    large = prepare_mask(region, (panel.shape[1], panel.shape[0]))
    return np.where(large[..., None], panel, 0).astype(np.uint8)
