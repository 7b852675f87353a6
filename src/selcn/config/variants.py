"""Variants of a network under other maskings, added to a configuration beside it."""

from typing import Any

from selcn.config.graph import Twin
from selcn.config.networks import ClassificationSection
from selcn.config.reading import changed_config
from selcn.config.run import RunConfig


def add_variant(config: RunConfig, name: str, masking: str | None, read: str | None) -> tuple[RunConfig, str]:
    """The configuration with a classifier under other maskings, and that classifier's name.

    Args:
        config: of the run.
        name: of the classifier, or of a twin of one.
        masking: its masking; None for its own.
        read: masking of the networks whose saliency it reads; None for their own.

    Returns:
        The configuration unchanged where the classifier is like this already; else with the variant, with variants of
        the networks that it reads, and with the twins of the classifier.

    Raises:
        ConfigError: the configuration has no segmentation network.
    """
    networks: dict[str, Any] = dict(config.networks)
    origin = config.graph.nodes[name].twin_of or name
    section = networks[origin]
    assert isinstance(section, ClassificationSection)
    ending = name.removeprefix(origin)  # of a twin
    reads = {_masked(networks, one, read): fusion for one, fusion in section.reads.items()}
    masking = masking or section.masking
    if (masking, reads) == (section.masking, section.reads):
        return config, name
    variant = f"{origin}-{masking}" + (f"-{read}" if read else "")
    networks[variant] = section.model_copy(update={"masking": masking, "reads": reads})
    twins = [one for one in config.compare.get(origin, ()) if one is not Twin.STANDALONE or masking != section.masking]
    compare = {**config.compare, **({variant: tuple(twins)} if twins else {})}
    made = changed_config(config, networks=networks, compare=compare, target=config.graph.target)
    return made, variant + ending if variant + ending in made.graph.nodes else name


def _masked(networks: dict[str, Any], name: str, masking: str | None) -> str:
    """Name of a network under a masking, which is added where it is absent."""
    section = networks[name]
    if masking is None or not isinstance(section, ClassificationSection) or section.masking == masking:
        return name
    variant = f"{name}-{masking}"
    networks.setdefault(variant, section.model_copy(update={"masking": masking}))
    return variant
