"""Public data sets' own layouts -> catalog, one file a data set, which registers itself when it is imported here."""

from selcn.data.sources.derm7pt import index_derm7pt
from selcn.data.sources.folder import index_folder
from selcn.data.sources.ham10000 import index_ham10000
from selcn.data.sources.indexed import PUBLISHED, Indexed, make_catalog
from selcn.data.sources.isic import index_isic
from selcn.data.sources.merge import merge_catalogs
from selcn.data.sources.milk10k import index_milk10k
from selcn.data.sources.ph2 import index_ph2
from selcn.data.sources.registry import SourceSpec, find_source, licence_of, register_source, source_specs
from selcn.data.sources.symderm import join_symmetry

__all__ = [
    "PUBLISHED",
    "Indexed",
    "SourceSpec",
    "find_source",
    "index_derm7pt",
    "index_folder",
    "index_ham10000",
    "index_isic",
    "index_milk10k",
    "index_ph2",
    "join_symmetry",
    "licence_of",
    "make_catalog",
    "merge_catalogs",
    "register_source",
    "source_specs",
]
