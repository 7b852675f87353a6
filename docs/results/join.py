"""Makes the bundle that ships of two runs: that of one, with the lesion network of another's first member.

python docs/results/join.py OUTLINES BUNDLE OUT   # OUTLINES is a run on the same split as BUNDLE; OUT a new folder

The temperature of the ensemble is measured anew, and its metrics on the test subset; all else of its reliability stays,
the model card too, whose text and metrics are then edited (`docs/results/make.py` writes its headlines).
"""

import json
import sys
from pathlib import Path

import torch

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.evaluation.recalibration import fit_recalibration
from selcn.inference.assembly import read_bundle, write_bundle
from selcn.inference.bundle import CARD, TRAINING, BundleConfig, read_lesions
from selcn.inference.reliability import Reliability
from selcn.labels import HAM10000, TEST
from selcn.models.ensemble import Ensemble
from selcn.runs.ensembles import calibration_predictions, score_test_subset
from selcn.runs.run import Run, open_run

OUT_OF_FOLD = Path(__file__).parent / "ham10000" / "diagnosis.parquet"
"""What the bundle's diagnosis predicted out of fold, to which its biases are fitted."""


def join(outlines: Path, bundle: Path, out: Path) -> None:
    """Write the bundle with another lesion network."""
    run, (config, ensemble) = open_run(outlines), read_bundle(bundle)
    if run.split.fingerprint != config.split:
        raise ConfigError(
            f"{outlines}: is on another split than {bundle}; test images of one may be trained on by the other"
        )
    name = str(config.segmenter)
    spec = _exchange(run, ensemble, name)
    ensemble.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = config.model_copy(update={"networks": {**config.networks, name: spec}})
    config = config.model_copy(update={"reliability": _recalibrated(run, config, ensemble)})
    assert config.reliability
    metrics = score_test_subset(run, ensemble, [*reversed(config.networks)], config.reliability.networks)
    ensemble.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    training = json.loads((bundle / TRAINING).read_text(encoding="utf-8"))
    training["networks"][name] = run.config.model_dump(mode="json")["networks"][name]
    card, lesions = (bundle / CARD).read_text(encoding="utf-8"), sorted(read_lesions(bundle))
    out.mkdir(parents=True)
    write_bundle(out, config, ensemble, metrics=metrics, training=training, lesions=lesions, card=card, half=True)


def _exchange(run: Run, ensemble: Ensemble, name: str) -> SegmenterSpec | ClassifierSpec:
    """Give all members the run's first lesion network; what it is."""
    first = run.cascade(0, [name])
    for member in ensemble.members:
        member.networks[name] = first.networks[name]
        member.specs = {**member.specs, name: first.specs[name]}
    return first.specs[name].model_copy(update={"size": first.networks[name].size})


def _recalibrated(run: Run, config: BundleConfig, ensemble: Ensemble) -> Reliability:
    """The reliability with the temperature of the ensemble as it is now."""
    table = read_predictions(OUT_OF_FOLD, HAM10000).table
    held = table[table["fold"] != TEST].reset_index(drop=True)
    calibration = calibration_predictions(run, ensemble, config.target)
    assert config.reliability
    assert calibration is not None
    found = fit_recalibration(calibration, fit_recalibration(Predictions(HAM10000, held)).bias)
    network = config.reliability.networks[config.target].model_copy(update={"temperature": found.temperature})
    return config.reliability.model_copy(update={"networks": {config.target: network}})


if __name__ == "__main__":
    join(*map(Path, sys.argv[1:4]))
