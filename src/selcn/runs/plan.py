"""The steps of a run by name, in order, and what each needs to have finished."""

from collections.abc import Iterable, Mapping

from selcn.config import RunConfig, Variant
from selcn.labels import Head, Masking

EXPLAINED = (Head.SYMMETRY, Head.DIAGNOSIS)
"""Heads whose saliency a run scores."""
Plan = Mapping[str, tuple[str, ...]]
"""What each step needs, by its name, which is its folder's too; no step stands in front of what it needs."""


def make_plan(config: RunConfig, folds: int) -> Plan:
    """Every step that comes after data, split and store have been made."""
    numbers = range(folds)
    segmenters = tuple(segmentation_step(fold) for fold in numbers)
    plan: dict[str, tuple[str, ...]] = dict.fromkeys(segmenters, ())
    plan["masks"] = segmenters
    for masking in config.cam_masks:
        plan |= {symmetry_step(masking, fold): ("masks",) for fold in numbers}
        plan[saliency_step(masking)] = tuple(symmetry_step(masking, fold) for fold in numbers)
    for variant in config.classification.variants:
        needs = ("masks", *((saliency_step(variant.cam_mask),) if variant.cam_mask else ()))
        plan |= {classification_step(variant, fold): needs for fold in numbers}
    networks = [name for name in plan if "/fold-" in name]
    for fold in numbers:
        plan[f"judged/fold-{fold}"] = tuple(name for name in networks if name.endswith(f"/fold-{fold}"))
    plan["predictions"] = tuple(f"judged/fold-{fold}" for fold in numbers)
    plan |= {explained_step(head): tuple(networks) for head in EXPLAINED}
    plan["evaluation"] = ("predictions", *map(explained_step, EXPLAINED))
    plan["bundle"] = ("evaluation",)
    return plan


def with_needs(plan: Plan, wanted: Iterable[str]) -> list[str]:
    """Some steps and all that they need, in the plan's order."""
    chosen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += plan[name]
    return [name for name in plan if name in chosen]


def fold_of(name: str) -> int:
    """The fold that a step's name ends with."""
    return int(name.rpartition("-")[2])


def segmentation_step(fold: int) -> str:
    """Name of stage 1 on one fold."""
    return f"segmentation/fold-{fold}"


def symmetry_step(masking: Masking, fold: int) -> str:
    """Name of stage 2 on one fold, for one masking."""
    return f"symmetry/{masking}/fold-{fold}"


def saliency_step(masking: Masking) -> str:
    """Name of the saliency that stage 2 of one masking leaves."""
    return f"saliency/{masking}"


def explained_step(head: Head) -> str:
    """Name of the scores of a head's saliency."""
    return f"explained/{head}"


def classification_step(variant: Variant, fold: int) -> str:
    """Name of stage 3 on one fold, for one variant."""
    return f"classification/{variant.name}/fold-{fold}"
