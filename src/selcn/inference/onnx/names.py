"""Names of the inputs and outputs of exported graphs."""

from selcn.data.imaging.masking import find_masking
from selcn.inference.bundle import BundleConfig
from selcn.labels import NO_MASKING

IMAGES, LESIONS = "images", "lesions"


def masked_between(config: BundleConfig) -> list[str]:
    """Maskings of a bundle that no graph can compute, so that they are computed between two graphs.

    Args:
        config: of the bundle.
    """
    wanted = dict.fromkeys(spec.masking for spec in config.classifiers.values())
    return [name for name in wanted if name != NO_MASKING and find_masking(name).region is not None]


def visible_name(masking: str) -> str:
    """Name of the input that holds the region that a masking leaves visible.

    Args:
        masking: name of a strategy.
    """
    return f"visible_{masking}"


def output_names(config: BundleConfig) -> list[str]:
    """Outputs of the last graph, in order: lesion, each classifier and its saliency, distance.

    Args:
        config: of the bundle.
    """
    lesion = ["lesion"] if config.segmenter else []
    return [*lesion, *(name for one in config.classifiers for name in (one, f"{one}_saliency")), "distance"]
