"""The layout of a run's folder.

```
RUN/
  config.yaml              resolved configuration; once a step has finished, another training is refused
  environment.json         versions of the software and machine that it was started with
  data/catalog.csv  split/split.json  store/arrays/
  features/NAME/arrays/    of a frozen backbone: views.npy, maps.npy
  networks/NAME/fold-k/    network.safetensors, metrics.csv, tensorboard/, step.json
  outputs/NAME/            out of fold and on the test subset: masks.npy, member-masks.npy; or probabilities.npy,
                           member-probabilities.npy, saliency.npy, member-saliency.npy (where read), features.npy,
                           features-earlier.npy
  predictions/NAME.csv     per-image probabilities or mask scores; members/: single members on the test subset
  explained/NAME/          scores/scores.csv of a classifier's saliency
  given/NAME/              per-image probabilities on the test subset with true masks or classes given
  facts/                   what the images themselves tell of lesion size, skin and artefacts
  saliency-quality/        of `selcn saliency-quality RUN`: NAME/scores.csv, quality.csv, quality.json
  robustness/              metrics of corrupted test images, of `selcn robustness RUN`
  ood/NAME/                scores of images out of distribution, of `selcn evaluate RUN --ood NAME.csv`
  evaluation/              NAME.csv, comparison.csv, cross_validation.csv, saliency.csv, surfaces.csv
  bundle/                  the deployable cascade of the target network
  jobs/  tuning/NAME/      of `selcn grid` and `selcn tune`
  audit/                   of `selcn audit --run`, see `selcn.runs.auditing`
  report.html  tripod-ai.md  clear-derm.md  claim.md
```
Every step also leaves `step.json`: its result, seconds, host, machine and version of PyTorch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.config import ClassificationSection, RunConfig, changed_config
from selcn.errors import RunError
from selcn.runs.plan import Kind, Step

MANIFEST = "step.json"
MASKS, MEMBER_MASKS = "masks.npy", "member-masks.npy"
PROBABILITIES, MEMBER_PROBABILITIES = "probabilities.npy", "member-probabilities.npy"
SALIENCY, MEMBER_SALIENCY = "saliency.npy", "member-saliency.npy"
FEATURES, FEATURES_EARLIER = "features.npy", "features-earlier.npy"
"""Features of the last stage and of the one before it, averaged over positions; the latter of fold images alone."""
ARRAYS, FEATURE_VIEWS, FEATURE_MAPS = "arrays", "views.npy", "maps.npy"
"""Stored features: of each image and its flips (N, V, C, h, w), (N, V, C, 1, 1) where a head needs their means alone;
then also of the image itself (N, C, h, w)."""
COMPARISON, CROSS_VALIDATION, SALIENCY_METRICS = "comparison.csv", "cross_validation.csv", "saliency.csv"
SURFACE_METRICS = "surfaces.csv"
MEMBERS, SCORES = "members", "scores"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions of the software, and the machine, that the run was started with."""
        return self.path / "environment.json"

    @property
    def lock(self) -> Path:
        """Lock file of the process that works in the folder."""
        return self.path / ".lock"

    @property
    def work(self) -> Path:
        """Folder of unfinished steps."""
        return self.path / ".work"

    @property
    def claims(self) -> Path:
        """Locks of single steps, held by jobs."""
        return self.work / "claims"

    @property
    def jobs(self) -> Path:
        """Table and logs of jobs."""
        return self.path / "jobs"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def catalog(self) -> Path:
        """The catalog."""
        return self.path / Kind.DATA / "catalog.csv"

    @property
    def split(self) -> Path:
        """The split."""
        return self.path / Kind.SPLIT / "split.json"

    @property
    def store(self) -> Path:
        """The prepared arrays."""
        return self.path / Kind.STORE / "arrays"

    @property
    def bundle(self) -> Path:
        """The bundle of the target network."""
        return self.path / Kind.BUNDLE

    @property
    def predictions(self) -> Path:
        """Prediction files of all networks."""
        return self.path / Kind.PREDICTIONS

    @property
    def evaluation(self) -> Path:
        """Tables of metrics."""
        return self.path / Kind.EVALUATION

    def step(self, step: Step) -> Path:
        """Folder of a step's result.

        Args:
            step: of the run.
        """
        return self.path / step.path

    def training(self, network: str, fold: int) -> Path:
        """Folder of weights and logs of a network trained without one fold.

        Args:
            network: its name.
            fold: that is left out, from 0.
        """
        return self.step(Step(Kind.TRAIN, network, fold))

    def features(self, network: str) -> Path:
        """Folder of the stored features of a network with a frozen backbone.

        Args:
            network: its name.
        """
        return self.step(Step(Kind.FEATURES, network)) / ARRAYS

    def outputs(self, network: str) -> Path:
        """Folder of the members' outputs of a network for every image.

        Args:
            network: its name.
        """
        return self.step(Step(Kind.OUTPUTS, network))

    def prediction_file(self, network: str) -> Path:
        """Per-image probabilities of a classifier, or mask scores of a segmentation network.

        Args:
            network: its name.
        """
        return self.predictions / f"{network}.csv"

    def member_file(self, network: str, fold: int) -> Path:
        """Probabilities of a single member on the test subset.

        Args:
            network: its name.
            fold: that the member was trained without, from 0.
        """
        return self.predictions / MEMBERS / f"{network}-fold-{fold}.csv"

    def given_file(self, network: str, given: Sequence[str]) -> Path:
        """Probabilities of a classifier on the test subset with true results given.

        Args:
            network: its name.
            given: names of these results.
        """
        return self.path / "given" / network / ("+".join(given) or "nothing") / "predictions.csv"

    @property
    def facts(self) -> Path:
        """What the images themselves tell."""
        return self.path / "facts"

    @property
    def robustness(self) -> Path:
        """Metrics of corrupted test images."""
        return self.path / "robustness"

    @property
    def saliency_quality(self) -> Path:
        """What the saliency of its networks is worth."""
        return self.path / "saliency-quality"

    def ood(self, name: str) -> Path:
        """Folder of scores of images out of distribution.

        Args:
            name: of their catalog, without ending.
        """
        return self.path / "ood" / name

    def metrics(self, network: str) -> Path:
        """A network's metrics with intervals.

        Args:
            network: its name.
        """
        return self.evaluation / f"{network}.csv"

    def saliency_scores(self, network: str) -> Path:
        """Scores of a classifier's saliency, see `selcn.explain.scoring`.

        Args:
            network: its name.
        """
        return self.step(Step(Kind.EXPLAINED, network)) / SCORES / "scores.csv"

    def tuning(self, study: str) -> Path:
        """Folder of the results of a search.

        Args:
            study: its name.
        """
        return self.path / "tuning" / study

    def finished(self, step: Step) -> bool:
        """Whether a step has finished.

        Args:
            step: of the run.
        """
        return (self.step(step) / MANIFEST).is_file()

    def manifest(self, step: Step) -> dict[str, Any]:
        """What a finished step recorded, with its ``seconds``, ``host``, ``machine`` and version of ``torch``.

        Args:
            step: of the run.

        Raises:
            RunError: it has not finished.
        """
        if not self.finished(step):
            again = f"selcn run {self.config} --out {self.path}"
            raise RunError(f"{self.path}: step {step} has not finished; resume with `{again}`")
        manifest: dict[str, Any] = json.loads((self.step(step) / MANIFEST).read_text(encoding="utf-8"))
        return manifest


def with_present_classes(config: RunConfig, table: pd.DataFrame) -> RunConfig:
    """The configuration with label sets that hold the classes of the catalog alone, where these are two or more.

    Networks that are taken from a bundle keep theirs.

    Args:
        config: of the run.
        table: the catalog.
    """
    changed = {}
    for name, section in config.networks.items():
        if isinstance(section, ClassificationSection) and not section.taken and section.labels.column in table:
            words = table[section.labels.column].unique()
            present = {section.labels.class_of(word) for word in words} - {""}
            if 2 <= len(present) < len(section.labels.names):
                changed[name] = section.model_copy(update={"labels": section.labels.restricted(present)})
    return changed_config(config, networks={**config.networks, **changed}) if changed else config
