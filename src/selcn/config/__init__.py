"""What a run is configured by, and how that is read and written."""

from selcn.config.grid import grid_variants
from selcn.config.reading import describe_presets, dump_config, load_config, presets
from selcn.config.sections import (
    AugmentSection,
    CatalogSource,
    ClassificationSection,
    Ham10000Source,
    PhantomSource,
    PrepareSection,
    Recipe,
    RunConfig,
    SegmentationSection,
    SplitSection,
    SymmetrySection,
    Variant,
)

__all__ = [
    "AugmentSection",
    "CatalogSource",
    "ClassificationSection",
    "Ham10000Source",
    "PhantomSource",
    "PrepareSection",
    "Recipe",
    "RunConfig",
    "SegmentationSection",
    "SplitSection",
    "SymmetrySection",
    "Variant",
    "describe_presets",
    "dump_config",
    "grid_variants",
    "load_config",
    "presets",
]
