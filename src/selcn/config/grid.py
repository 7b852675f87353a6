"""The thesis' grid: the product of the maskings of two networks, as one configuration."""

from collections.abc import Iterator
from typing import Any

from selcn.config.networks import ClassificationSection
from selcn.config.reading import changed_config
from selcn.config.run import RunConfig
from selcn.errors import ConfigError
from selcn.labels import NO_MASKING, Control, Fusion

MASKINGS = (NO_MASKING, "segmentation", "lae")
"""The maskings that the thesis compares."""


def grid_config(config: RunConfig, *, attention: bool = False, controls: bool = False) -> RunConfig:
    """Expand the target network and the one whose saliency it reads over all maskings: 3 standalone, 9 that read.

    Controls read the saliency of unmasked images; for `zero` and `random` the source does not matter.

    Args:
        config: of a run whose target reads the saliency of one other network.
        attention: also the 9 that read by attention.
        controls: also zero, shuffled and random saliency for each masking of the target.

    Raises:
        ConfigError: the target reads no saliency, or that of several networks; there is no segmentation network; or
            another network reads one of the two.
    """
    name = config.graph.target
    target = config.graph.nodes[name].section
    reads = tuple(target.reads) if isinstance(target, ClassificationSection) else ()
    if len(reads) != 1 or reads[0] not in config.graph.classifiers:
        raise ConfigError(
            f"network {name}: a grid needs a target that reads the saliency of one classifier; set its reads"
        )
    (source,) = reads
    networks: dict[str, Any] = {}
    for other, section in config.networks.items():
        if other == source:
            networks |= {f"{source}-{mask}": _changed(section, masking=mask) for mask in MASKINGS}
        elif other != name:
            networks[other] = section
            if {name, source} & set(getattr(section, "reads", ())):
                raise ConfigError(f"network {other}: reads one of which a grid makes several; leave {other} out")
    own = config.networks[name]
    networks |= dict(_variants(name, source, own, attention=attention, controls=controls))
    return changed_config(config, networks=networks, compare={}, target=f"{name}-none-none")


def _variants(
    name: str,
    source: str,
    own: Any,  # noqa: ANN401 - a section
    *,
    attention: bool,
    controls: bool,
) -> Iterator[tuple[str, Any]]:
    for mask in MASKINGS:
        yield f"{name}-{mask}", _changed(own, masking=mask, reads={})
    for fusion in (Fusion.CONCAT, Fusion.ATTENTION) if attention else (Fusion.CONCAT,):
        for mask in MASKINGS:
            for read in MASKINGS:
                ending = "" if fusion is Fusion.CONCAT else f"-{fusion}"
                yield f"{name}-{mask}-{read}{ending}", _changed(own, masking=mask, reads={f"{source}-{read}": fusion})
    for mask in MASKINGS:
        for control in Control if controls else ():
            reads = {f"{source}-{NO_MASKING}": Fusion.CONCAT}
            yield f"{name}-{mask}-{control}", _changed(own, masking=mask, reads=reads, control=control)


def _changed(section: Any, **keys: Any) -> Any:  # noqa: ANN401 - a section
    return section.model_copy(update=keys)
