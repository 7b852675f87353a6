"""What a classifier with a frozen backbone, or a linear probe that is fitted at once, can be configured with."""

from typing import TYPE_CHECKING, Any

from selcn.config.sections import IMAGE_AND_MASK

if TYPE_CHECKING:
    from selcn.config.networks import ClassificationSection

LBFGS = "lbfgs"
NOT_OF_FEATURES = ("rotation", "zoom", "shift", "colour")
"""Augmentation that changes an image, and so cannot be had of stored features."""
NOT_OF_LBFGS = (
    *("dropout", "metadata", "schedule", "warmup", "layer_decay", "freeze_epochs"),
    *("clip", "ema", "accumulate", "precision", "compile", "balance", "mix"),
)
"""Keys that must have their default where all images are taken at once, of dropout none."""


def with_defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """A configuration with other defaults: of the augmentation flips alone, and for `lbfgs` no dropout.

    What is written out stays, and is checked by `check_frozen` and `check_probe`.

    Args:
        tree: keys and values of a classifier.
    """
    if tree.get("freeze") is True and isinstance(tree.get("augment", {}), dict):
        tree = {**tree, "augment": {**dict.fromkeys(NOT_OF_FEATURES, 0), **tree.get("augment", {})}}
    return {"dropout": 0, **tree} if tree.get("optimiser") == LBFGS else tree


def check_frozen(section: "ClassificationSection") -> None:
    """Check a classifier whose backbone stays as it is.

    Args:
        section: with `freeze`.

    Raises:
        ValueError: it has a setting that stored features cannot have, or no weights.
    """
    wrong = [f"augment.{key}" for key in NOT_OF_FEATURES if getattr(section.augment, key)]
    wrong += [key for key in ("init", "freeze_epochs", "layer_decay", "mix", "measures") if getattr(section, key)]
    wrong += ["masks"] * (section.masks == "true")
    if wrong:
        raise ValueError(f"freeze: features are computed once, of each image and its flips; remove {', '.join(wrong)}")
    if section.input == IMAGE_AND_MASK:
        raise ValueError("freeze: the first convolution has to learn the mask's channel; leave input out")
    if section.weights is None:
        raise ValueError("freeze: the backbone stays as it is; give weights, imagenet or a safetensors file")


def check_probe(section: "ClassificationSection") -> None:
    """Check a classifier that is fitted by L-BFGS.

    Args:
        section: with `optimiser: lbfgs`.

    Raises:
        ValueError: it is no linear probe, or has a setting of training in batches.
    """
    if not section.freeze or section.reads or section.head != "linear":
        raise ValueError("optimiser lbfgs fits a linear probe; it goes with freeze, a linear head and no reads")
    defaults = {key: type(section).model_fields[key].default for key in NOT_OF_LBFGS} | {"dropout": 0}
    wrong = [key for key, default in defaults.items() if getattr(section, key) != default]
    wrong += ["by_masking"] * any(one.dropout for one in section.by_masking.values())
    wrong += ["by_fusion"] * any(one.dropout for one in section.by_fusion.values())
    if wrong:
        raise ValueError(f"optimiser lbfgs takes all images at once; remove {', '.join(wrong)}")
