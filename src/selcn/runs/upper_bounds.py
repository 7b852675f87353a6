"""What perfect masks or classes would be worth: a network's test predictions, repeated with true results given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from selcn.data.catalog import catalog_hash
from selcn.data.datasets import as_floats, gather_images, in_batches
from selcn.errors import ConfigError, DataError
from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.inference.given import ABSENT, MASK
from selcn.io.progress import OnProgress
from selcn.io.resume import work_in_parts
from selcn.labels import TEST
from selcn.models.cascade import Known
from selcn.models.ensemble import Ensemble
from selcn.runs.predictions import write_labelled
from selcn.runs.run import Run

_PART = "probabilities.npy"


def upper_bounds(
    run: Run,
    given: Sequence[str],
    network: str | None = None,
    *,
    device: str | torch.device = "cpu",
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Return the paired difference on the test subset of each metric with true results given, and without.

    Each result is given alone, and all are given together where there are several. Images of which the catalog does not
    know a result keep the predicted one.

    Args:
        run: a finished one.
        given: `mask`, or names of classification networks, whose true classes are given.
        network: the classifier whose predictions are compared; None for the target.
        device: where the networks run.
        resamples: number of bootstrap resamples of lesions and of permutations, at least 1.
        seed: of the bootstrap and of the permutations.
        on_progress: called with batches done and batches in all.

    Returns:
        The columns of `selcn.evaluation.compare` after ``given``, names joined by ``+``, and ``known``, the number of
        test images of which any of these is known.

    Raises:
        ConfigError: the network is no classifier, or does not depend on what is given.
        DataError: no test image has a label, or none has a true result that is given.
        RunError: a network of the run is missing.
    """
    wanted = _checked(run, given, name := run.known(network))
    table, labels = run.predictions(name).table, run.labels(name)
    base = table[table["fold"] == TEST].reset_index(drop=True)
    if base.empty:
        raise DataError(f"{run.folder.path}: no test image has a label for {name}; give a run that has some")

    def difference(chosen: tuple[str, ...]) -> pd.DataFrame:
        known = int(_is_known(run, chosen, run.test_rows).sum())
        if not known:
            raise DataError(f"{run.folder.path}: no test image has a true {chosen[0]}; leave it out of --given")
        path = predict_given(run, name, chosen, device=device, on_progress=on_progress)
        a, b = on_shared_images(Predictions(labels, base), read_predictions(path, labels))
        return compare(a, b, resamples=resamples, seed=seed).assign(given="+".join(chosen), known=known)

    choices = dict.fromkeys([*((one,) for one in wanted), tuple(wanted)])  # once where there is one alone
    found = pd.concat(map(difference, choices), ignore_index=True)
    return found[["given", "known", *found.columns[:-2]]]


def predict_given(
    run: Run,
    network: str,
    given: Sequence[str],
    *,
    device: str | torch.device = "cpu",
    on_progress: OnProgress | None = None,
) -> Path:
    """Predict the test subset with true results given, into the run's folder; resumable, and not repeated.

    Args:
        run: a finished one.
        network: the classifier that predicts.
        given: `mask`, or names of classification networks that it depends on; empty for the prediction as it is.
        device: where the networks run.
        on_progress: called with batches done and batches in all.

    Returns:
        Path of the prediction file.

    Raises:
        DataError: the folder holds something else.
        RunError: a network of the run is missing.
    """
    names, folds = run.graph.with_needs(network), range(run.split.folds)
    batches = in_batches(run.test_rows)
    path = run.folder.given_file(network, given)
    members: list[Ensemble] = []

    def predict(number: int, folder: Path) -> None:
        # Built once it is needed: a finished file needs no networks.
        members[:] = members or [Ensemble([run.cascade(fold, names) for fold in folds]).to(device).eval()]
        rows = batches[number]
        with torch.inference_mode():
            images = as_floats(gather_images(run.store, rows).to(device))
            found = members[0](images, _known(run, given, rows, torch.device(device)))
        np.save(folder / _PART, found.probabilities[network].numpy(force=True))

    def seal(parts: list[Path], folder: Path) -> None:
        probabilities = np.concatenate([np.load(part / _PART) for part in parts])
        write_labelled(run, network, run.test_rows, probabilities, folder / path.name)

    data = {"catalog": catalog_hash(run.table), "split": run.split.fingerprint}
    plan = {"network": network, "given": list(given), "networks": run.weights_hash(names, folds), **data}
    work_in_parts(path.parent, plan, len(batches), predict, seal, on_progress)
    return path


def _checked(run: Run, given: Sequence[str], network: str) -> list[str]:
    """What is given, each once, in the graph's order."""
    if network not in run.graph.classifiers:
        raise ConfigError(f"network {network}: is no classifier; masks are scored by `selcn evaluate` of its file")
    needed = [name for name in run.graph.with_needs(network) if name != network]
    known = [MASK if name == run.graph.segmenter else name for name in needed]
    for one in given:
        if one not in known:
            raise ConfigError(f"--given {one}: {network} depends on {', '.join(known) or 'nothing'}; give one of these")
    return [name for name in known if name in given]


def _is_known(run: Run, given: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Whether the catalog knows any of the true results, bool (n,)."""
    each = [run.store.has_mask[rows] if name == MASK else run.class_numbers(name)[rows] >= 0 for name in given]
    known: np.ndarray = np.logical_or.reduce(each)
    return known


def _known(run: Run, given: Sequence[str], rows: np.ndarray, device: torch.device) -> Known:
    lesion = None
    if MASK in given:
        has_mask = run.store.has_mask[rows][:, None, None]
        masks = np.where(has_mask, np.asarray(run.store.masks[rows]) > 0, ABSENT).astype(np.float32)
        lesion = torch.from_numpy(masks)[:, None].to(device)
    classes = {name: torch.from_numpy(run.class_numbers(name)[rows]).to(device) for name in given if name != MASK}
    return Known(lesion, classes, metadata=torch.from_numpy(run.metadata.numbers[rows]).to(device))
