"""Public data sets' own layouts -> catalog, one file a data set."""

from selcn.data.sources.folder import index_folder
from selcn.data.sources.ham10000 import index_ham10000
from selcn.data.sources.indexed import PUBLISHED, Indexed
from selcn.data.sources.isic import index_isic
from selcn.data.sources.ph2 import index_ph2
from selcn.data.sources.symderm import join_symmetry

__all__ = [
    "PUBLISHED",
    "Indexed",
    "index_folder",
    "index_ham10000",
    "index_isic",
    "index_ph2",
    "join_symmetry",
]
