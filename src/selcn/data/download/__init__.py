"""Public data sets fetched in one command: a registry of files and licences, resumable transfer, safe unpacking."""

from selcn.data.download.folder import MANIFEST, download
from selcn.data.download.sets import DataSet, RemoteFile, data_sets, find_data_set

__all__ = ["MANIFEST", "DataSet", "RemoteFile", "data_sets", "download", "find_data_set"]
