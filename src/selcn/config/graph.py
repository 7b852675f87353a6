"""The graph of a run's networks: which there are, in which order, and what each needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from selcn.config.networks import ClassificationSection, SegmentationSection
from selcn.config.taken import split_reference
from selcn.labels import MIRROR, NO_MASKING, Control


class Twin(StrEnum):
    """A network that differs from another in one respect and is trained beside it for comparison."""

    STANDALONE = "standalone"
    ZERO = "zero"
    SHUFFLED = "shuffled"
    RANDOM = "random"
    NO_METADATA = "no-metadata"
    ZERO_METADATA = "zero-metadata"
    SHUFFLED_METADATA = "shuffled-metadata"
    RANDOM_METADATA = "random-metadata"


@dataclass(frozen=True)
class Node:
    """One network of the graph.

    Attributes:
        name: of the network, its folder and its prediction file.
        section: what it is and how it is trained, recipes applied.
        twin_of: the network that it is a twin of, or None.
        twin: in which respect it differs from that, or None.
    """

    name: str
    section: SegmentationSection | ClassificationSection
    twin_of: str | None = None
    twin: Twin | None = None


@dataclass(frozen=True)
class Graph:
    """The networks of a run in topological order: each comes after the networks it needs. Made by `build_graph`.

    Attributes:
        nodes: the networks by name.
        target: the network that the others lead to; a bundle's main prediction.
    """

    nodes: Mapping[str, Node]
    target: str

    @property
    def segmenter(self) -> str | None:
        """Name of the segmentation network, or None."""
        return next((name for name, node in self.nodes.items() if node.section.task == "segmentation"), None)

    @property
    def classifiers(self) -> dict[str, ClassificationSection]:
        """The classification networks by name."""
        return {
            name: node.section for name, node in self.nodes.items() if isinstance(node.section, ClassificationSection)
        }

    def needs(self, name: str) -> tuple[str, ...]:
        """The networks whose output a network takes as input: that of its masks, and those whose saliency it reads.

        Args:
            name: of a network of the graph.
        """
        section = self.nodes[name].section
        if not isinstance(section, ClassificationSection):
            return ()
        masks = (self.segmenter,) if section.needs_mask and self.segmenter else ()
        return tuple(dict.fromkeys((*masks, *section.reads)))

    def features_of(self, name: str) -> str | None:
        """The network whose stored features one with a frozen backbone is trained on, of a twin the other; else None.

        Args:
            name: of a network of the graph.
        """
        section = self.nodes[name].section
        frozen = isinstance(section, ClassificationSection) and section.freeze
        return (self.nodes[name].twin_of or name) if frozen else None

    def is_read(self, name: str) -> bool:
        """Whether any network reads the saliency of this one.

        Args:
            name: of a network of the graph.
        """
        return any(name in section.reads for section in self.classifiers.values())

    def bundled(self, target: str) -> list[str]:
        """The networks that a bundle of ``target`` holds, in the graph's order.

        These are the target, what it needs, and every earlier network that is no twin and needs nothing else. Of
        several networks of one label set, the one that the target needs is taken, or else the first.

        Args:
            target: name of a network of the graph.
        """
        taken, names = self.with_needs(target), list(self.nodes)
        for name in names[: names.index(target)]:
            labels = [self.classifiers[one].labels for one in taken if one in self.classifiers]
            rival = name in self.classifiers and self.classifiers[name].labels in labels
            if not rival and self.nodes[name].twin_of is None and set(self.needs(name)) <= set(taken):
                taken.append(name)
        return [name for name in names if name in taken]

    def pairs(self) -> list[tuple[str, str]]:
        """Networks A and B to compare: A reads no saliency, B does, with the same masking, metadata and label set.

        B's own standalone twin goes before others. A network that reads metadata is compared with its twin that does
        not, and a control with the network that it controls, too.
        """
        alone = {_alike(section): name for name, section in self.classifiers.items() if not section.reads}
        own = {node.twin_of: name for name, node in self.nodes.items() if node.twin is Twin.STANDALONE}
        standalone = [
            (rival, name)
            for name, section in self.classifiers.items()
            if section.reads
            and (rival := own.get(self.nodes[name].twin_of or name) or alone.get(_alike(section)))
            and self.classifiers[rival].metadata == section.metadata
        ]
        others = [
            (name, str(node.twin_of)) for name, node in self.nodes.items() if node.twin not in (None, Twin.STANDALONE)
        ]
        return standalone + others

    def with_needs(self, name: str) -> list[str]:
        """A network and everything that it needs, directly or through others, in the graph's order.

        Args:
            name: of a network of the graph.
        """
        needed, waiting = {name}, [name]
        while waiting:
            waiting += (new := [one for one in self.needs(waiting.pop()) if one not in needed])
            needed.update(new)
        return [one for one in self.nodes if one in needed]


def build_graph(
    networks: Mapping[str, SegmentationSection | ClassificationSection],
    compare: Mapping[str, Iterable[Twin]],
    target: str | None = None,
) -> Graph:
    """Order the networks topologically, each followed by its twins.

    Args:
        networks: as configured, by name.
        compare: the twins to train of each network, by its name.
        target: the network that the others lead to; None for the last that is no twin.

    Raises:
        ValueError: no network; several segmentation networks; a network reads one that is absent or leads back to
            itself; a masking without a segmentation network; or a twin of a network that reads nothing,
            or whose name is taken.
    """
    segmenters = [name for name, section in networks.items() if section.task == "segmentation"]
    if len(segmenters) > 1:
        raise ValueError(f"{', '.join(segmenters)} are segmentation networks; a run trains one: make a run of each")
    for name, section in networks.items():
        if isinstance(section, ClassificationSection):
            _check_inputs(name, section, networks, segmenters)
    nodes: dict[str, Node] = {}
    for name in _ordered(networks, segmenters):
        section = networks[name]
        nodes[name] = Node(name, section.resolved if isinstance(section, ClassificationSection) else section)
        for twin in _twins(name, section, compare.get(name, ())):
            if twin.name in networks:
                raise ValueError(
                    f"compare: the {name} network has a twin called {twin.name}; rename your own {twin.name}"
                )
            nodes[twin.name] = twin
    for key, names in (("compare", list(compare)), ("target", [target] if target else [])):
        absent = [name for name in names if name not in networks]
        if absent:
            raise ValueError(f"{key}: {absent[0]} is no network of this run; it has {', '.join(networks)}")
    return Graph(nodes, target or [name for name, node in nodes.items() if node.twin_of is None][-1])


def _check_inputs(
    name: str,
    section: ClassificationSection,
    networks: Mapping[str, SegmentationSection | ClassificationSection],
    segmenters: list[str],
) -> None:
    for source in section.reads:
        if source not in networks:
            raise ValueError(f"{name} reads {source}, which is no network of this run; {_remedy(section, source)}")
    if section.needs_mask and not segmenters:
        remedy = _remedy(section, "lesion") if section.taken else "add one"
        masked = section.masking != NO_MASKING
        own = f"backbone {MIRROR}" if section.measured else "measures" if section.measures else f"input {section.input}"
        what = f"masking {section.masking}" if masked else own
        raise ValueError(f"{name} has {what}, which needs a segmentation network; {remedy}")


def _remedy(section: ClassificationSection, source: str) -> str:
    return f"add {source}: {{from: {split_reference(section.taken)[0]}}}" if section.taken else "name one"


def _ordered(networks: Mapping[str, SegmentationSection | ClassificationSection], segmenters: list[str]) -> list[str]:
    """Names in the order they were written, each after the networks it needs."""
    order: list[str] = []

    def add(name: str, below: tuple[str, ...]) -> None:
        if name in below:
            raise ValueError(
                f"{' reads '.join((*below[below.index(name) :], name))}: a circle; remove one of these reads"
            )
        section = networks[name]
        for source in section.reads if isinstance(section, ClassificationSection) else ():
            add(source, (*below, name))
        if name not in order:
            order.append(name)

    for name in (*segmenters, *networks):
        add(name, ())
    return order


def _twins(name: str, section: SegmentationSection | ClassificationSection, wanted: Iterable[Twin]) -> list[Node]:
    twins = []
    for twin in dict.fromkeys(wanted):
        of_metadata = twin.value.endswith("metadata")
        read = getattr(section, "metadata" if of_metadata else "reads", None)
        if not isinstance(section, ClassificationSection) or not read:
            what = "metadata" if of_metadata else "saliency"
            raise ValueError(f"compare: {name} reads no {what}, so that it has no {twin} twin; leave it out")
        if section.taken:
            raise ValueError(f"compare: {name} is taken from a bundle, so that it has no twins; leave it out")
        twins.append(Node(f"{name}-{twin}", section.model_copy(update=_difference(twin)).resolved, name, twin))
    return twins


def _difference(twin: Twin) -> dict[str, object]:
    """What differs in the section of a twin."""
    match twin:
        case Twin.STANDALONE:
            return {"reads": {}, "control": None, "fusion_start": "identity"}
        case Twin.NO_METADATA:
            return {"metadata": (), "metadata_control": None}
        case _:
            control, _, metadata = twin.value.partition("-")
            return {"metadata_control" if metadata else "control": Control(control)}


def _alike(section: ClassificationSection) -> tuple[object, ...]:
    return section.masking, section.metadata, section.labels
