"""Made the bundle beside it once; kept to tell how, not to be run again."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

import selcn
from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.inference.assembly import build_cascade, write_bundle
from selcn.inference.bundle import BundleConfig, DataSource, Preparation, lesion_hash
from selcn.inference.reliability import ImageReliability, NetworkReliability, Reliability
from selcn.labels import Fusion
from selcn.models.ensemble import Ensemble

COARSE = 32
STREAKS = {
    "name": "streaks",
    "column": "streaks",
    "classes": [{"name": "absent"}, {"name": "present", "malignant": True}],
}
SPECS: dict[str, SegmenterSpec | ClassifierSpec] = {
    "lesion": SegmenterSpec(architecture="Linknet", encoder="tu-test_efficientnet", size=(32, 32)),
    "symmetry": ClassifierSpec(labels="symmetry-binary", backbone="test_efficientnet", size=(32, 32), masking="lae"),
    "streaks": ClassifierSpec(
        labels=STREAKS, backbone="test_efficientnet", masking="segmentation", reads={"symmetry": Fusion.ATTENTION}
    ),
    "diagnosis": ClassifierSpec(
        labels="ham10000",
        backbone="test_efficientnet",
        size=(48, 32),
        reads={"symmetry": Fusion.CONCAT, "streaks": Fusion.CONCAT},
        flips=True,
    ),
}


def main(out: Path) -> None:
    """Write the bundle and its answers into a folder."""
    torch.manual_seed(0)
    members = [build_cascade(SPECS, components=2) for _ in range(2)]
    for member in members:
        assert member.distance is not None
        member.distance.whitening.normal_()
        for name, parameter in member.networks.named_parameters():
            if "head" in name and parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.5)
            parameter.data = (parameter * COARSE).round() / COARSE  # packs well
    measured = NetworkReliability(temperature=1.5, abstain_below=0.4, coverage=0.8, distance=3.0, components=(2, 2))
    config = BundleConfig(
        selcn="0.2.0",
        name="format-1",
        prepare=Preparation(size=(64, 48), hair=True),
        networks=SPECS,
        target="diagnosis",
        members=2,
        split="0" * 64,
        reliability=Reliability(
            image=ImageReliability(sharpness=9.0, brightness=(0.2, 0.9)), networks={"diagnosis": measured}
        ),
        sources=(DataSource(name="none", images=0, licence="synthetic"),),
    )
    folder = out / "format-1"
    folder.mkdir()
    write_bundle(folder, config, Ensemble(members), lesions=[lesion_hash("lesion:1")], card="# A fixture\n")
    rows, columns = np.mgrid[:60, :80]
    image = np.stack([rows * 4, columns * 3, (rows + columns) % 256], axis=2).astype(np.uint8)
    prediction = selcn.load(folder).predict(image)
    assert prediction.lesion is not None
    answers = {
        "probabilities": {name: one.probabilities for name, one in prediction.results.items()},
        "share": float(prediction.lesion.mask.mean()),
        "warnings": list(prediction.warnings),
        "streaks_saliency": float(prediction["streaks"].saliency.mean()),
    }
    (out / "format-1-answers.json").write_text(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
