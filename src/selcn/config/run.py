"""The configuration of a whole run."""

import re
from functools import cached_property
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from selcn.config.graph import Graph, Twin, build_graph
from selcn.config.networks import NetworkSection
from selcn.config.sections import (
    BundleSection,
    CatalogSource,
    EvaluationSection,
    Ham10000Source,
    PhantomSource,
    PrepareSection,
    Section,
    SplitSection,
)
from selcn.config.specs import SPEC_KEYS, WRITTEN_KEYS
from selcn.config.taken import complete_networks
from selcn.labels.metadata import FIELDS

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
RESERVED = ("mask", "metadata", *FIELDS)
"""Names of what is given with an image, which no network can have."""
_OLD = {"segmentation", "symmetry", "classification"}


def _refuse_old(tree: object) -> object:
    if isinstance(tree, dict) and _OLD & tree.keys():
        raise ValueError(
            f"{', '.join(sorted(_OLD & tree.keys()))} are keys of an earlier selcn; list the networks below "
            "`networks`, as `selcn config show light` does"
        )
    return tree


class RunConfig(Section):
    """A graph of networks, from data to metrics."""

    seed: int = Field(0, description="of initial weights, order, augmentation and dropout; fold k has seed + k")
    data: PhantomSource | Ham10000Source | CatalogSource = Field(
        discriminator="source", description="the images and what is known of them"
    )
    split: SplitSection = SplitSection()
    prepare: PrepareSection = PrepareSection()
    networks: dict[str, NetworkSection] = Field(
        min_length=1, description="by name; lower case letters, digits, - and _"
    )
    compare: dict[str, tuple[Annotated[Twin, BeforeValidator(lambda value: str(value).lower())], ...]] = Field(
        {}, description="twins of a network (standalone, or a control) that are trained beside it"
    )
    target: str | None = Field(None, description="the network that the others lead to; null takes the last classifier")
    evaluation: EvaluationSection = EvaluationSection()
    bundle: BundleSection = BundleSection()
    resamples: int = Field(2000, ge=100, description="bootstrap resamples of each interval")

    @model_validator(mode="before")
    @classmethod
    def _is_of_this_version(cls, tree: object) -> object:
        return _refuse_old(tree)

    @field_validator("networks", mode="before")
    @classmethod
    def _completed(cls, networks: object) -> object:
        return complete_networks(networks, SPEC_KEYS, WRITTEN_KEYS)

    @model_validator(mode="after")
    def _is_a_graph(self) -> Self:
        for name in self.networks:
            if not _NAME.fullmatch(name):
                raise ValueError(f"network {name!r}: begin with a lower case letter, then letters, digits, - and _")
            if name in RESERVED:
                raise ValueError(f"network {name}: that is what an input is called; take another name")
        bundled = self.graph.bundled(self.graph.target)
        for name in self.bundle.share:
            if name not in bundled:
                raise ValueError(f"bundle.share: {name} is not in the bundle, which holds {', '.join(bundled)}")
        for name in bundled:
            if getattr(self.graph.nodes[name].section, "masks", "") == "true":
                raise ValueError(
                    f"network {name}: masks: true is for comparison, and no bundle has true masks; take another target"
                )
        return self

    @cached_property
    def graph(self) -> Graph:
        """The networks in order, twins included."""
        return build_graph(self.networks, self.compare, self.target)
