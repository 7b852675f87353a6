"""The steps of a run, in order, and what each needs to have finished."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from selcn.config import Graph


class Kind(StrEnum):
    """What a step does; also the folder of its result within the run's."""

    DATA = "data"
    SPLIT = "split"
    STORE = "store"
    FEATURES = "features"
    TRAIN = "networks"
    OUTPUTS = "outputs"
    PREDICTIONS = "predictions"
    EXPLAINED = "explained"
    EVALUATION = "evaluation"
    BUNDLE = "bundle"


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        kind: what it does.
        network: its network, where the kind has one step a network.
        fold: the fold that the network is trained without, where the kind has one step a fold.
    """

    kind: Kind
    network: str | None = None
    fold: int | None = None

    @property
    def path(self) -> str:
        """Folder of its result, within the run's."""
        fold = None if self.fold is None else f"fold-{self.fold}"
        return "/".join(part for part in (self.kind.value, self.network, fold) if part is not None)

    @property
    def resumable(self) -> bool:
        """Whether it resumes from the work folder of a killed process."""
        return self.kind in (Kind.STORE, Kind.FEATURES, Kind.TRAIN, Kind.EXPLAINED)

    @property
    def distributed(self) -> bool:
        """Whether several processes do it together."""
        return self.kind is Kind.TRAIN

    def __str__(self) -> str:
        return self.path


Plan = Mapping[Step, tuple[Step, ...]]
"""The steps that each step needs, in topological order."""


def make_plan(graph: Graph, folds: int) -> Plan:
    """Every step after data, split and store, with what it needs.

    Args:
        graph: of the run's networks.
        folds: number of folds of the split.
    """
    plan: dict[Step, tuple[Step, ...]] = {}
    for name in graph.nodes:
        needs = tuple(Step(Kind.OUTPUTS, one) for one in graph.needs(name))
        features = graph.features_of(name)
        if features == name:
            plan[Step(Kind.FEATURES, name)] = tuple(one for one in needs if one.network == graph.segmenter)
        needs = needs if features is None else (*needs, Step(Kind.FEATURES, features))
        trained = tuple(Step(Kind.TRAIN, name, fold) for fold in range(folds))
        plan |= dict.fromkeys(trained, needs)
        plan[Step(Kind.OUTPUTS, name)] = (*needs, *trained)
    outputs = tuple(Step(Kind.OUTPUTS, name) for name in graph.nodes)
    plan[Step(Kind.PREDICTIONS)] = outputs
    explained = tuple(Step(Kind.EXPLAINED, name) for name in explained_networks(graph))
    plan |= dict.fromkeys(explained, outputs)
    plan[Step(Kind.EVALUATION)] = (Step(Kind.PREDICTIONS), *explained)
    plan[Step(Kind.BUNDLE)] = (Step(Kind.EVALUATION),)
    return plan


def explained_networks(graph: Graph) -> list[str]:
    """Classifiers whose saliency a run scores: those of its bundle.

    Args:
        graph: of the run's networks.
    """
    return [name for name in graph.bundled(graph.target) if name in graph.classifiers]


def with_needs(plan: Plan, wanted: Iterable[Step]) -> list[Step]:
    """Steps and everything that they need, directly or through others, in the plan's order.

    Args:
        plan: of the run.
        wanted: steps of the plan.
    """
    chosen: set[Step] = set()
    waiting = list(wanted)
    while waiting:
        step = waiting.pop()
        if step not in chosen:
            chosen.add(step)
            waiting += plan[step]
    return [step for step in plan if step in chosen]
