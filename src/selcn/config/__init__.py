"""The configuration of a run: its models, its graph of networks, reading and writing YAML."""

from selcn.config.graph import Graph, Node, Twin, build_graph
from selcn.config.grid import grid_config
from selcn.config.networks import ClassificationSection, NetworkSection, SegmentationSection, Training
from selcn.config.reading import (
    changed_config,
    describe_presets,
    dump_config,
    load_config,
    presets,
    read_aliases,
    read_label_set,
)
from selcn.config.run import RunConfig
from selcn.config.sections import (
    AugmentSection,
    CatalogSource,
    Ham10000Source,
    PhantomSource,
    PrepareSection,
    Section,
    SplitSection,
)
from selcn.config.specs import FULL, ClassifierSpec, ModelSpec, SegmenterSpec
from selcn.config.taken import split_reference
from selcn.config.variants import add_variant

__all__ = [
    "FULL",
    "AugmentSection",
    "CatalogSource",
    "ClassificationSection",
    "ClassifierSpec",
    "Graph",
    "Ham10000Source",
    "ModelSpec",
    "NetworkSection",
    "Node",
    "PhantomSource",
    "PrepareSection",
    "RunConfig",
    "Section",
    "SegmentationSection",
    "SegmenterSpec",
    "SplitSection",
    "Training",
    "Twin",
    "add_variant",
    "build_graph",
    "changed_config",
    "describe_presets",
    "dump_config",
    "grid_config",
    "load_config",
    "presets",
    "read_aliases",
    "read_label_set",
    "split_reference",
]
