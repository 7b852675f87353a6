"""The registry of downloads, read from sets.yaml: the files of a data set, where they are, and under which licence."""

import shlex
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from selcn.errors import ConfigError

SETS = Path(__file__).with_name("sets.yaml")


class RemoteFile(BaseModel):
    """A file of a data set as it is published.

    Attributes:
        name: under which it is saved; an archive ends in `.zip`.
        url: its address; "" where it is the data set's `base` and the name.
        checksum: `md5:` or `sha256:` and hexadecimal digits; "" where none is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w-][\w.-]*$")
    url: str = ""
    checksum: str = Field("", pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})?$")


class DataSet(BaseModel):
    """A public data set and how to get it.

    Attributes:
        title: for people, with the citation.
        licence: under which its publisher offers it.
        page: where the publisher states the licence and offers the files.
        folder: into which it goes where the user names none.
        index: the command that makes a catalog of it, with `{folder}` where its folder stands.
        base: of the addresses of files that have none of their own.
        files: what is fetched, small files first.
        by_hand: how a person gets it, where it cannot be fetched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    licence: str
    page: str
    folder: str
    index: str
    base: str = ""
    files: tuple[RemoteFile, ...] = ()
    by_hand: str = ""

    @model_validator(mode="after")
    def _fetched_or_by_hand(self) -> Self:
        if bool(self.files) == bool(self.by_hand):
            raise ValueError("has either files, or `by_hand`")
        return self

    def address(self, file: RemoteFile, mirror: str = "") -> str:
        """Where a file is fetched from.

        Args:
            file: of this data set.
            mirror: address of a copy in the layout of `wget --recursive`, a folder a host; "" for the publisher.
        """
        url = file.url or urljoin(self.base, file.name)
        if not mirror:
            return url
        parts = urlsplit(url)
        return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def command(self, folder: Path) -> str:
        """The command that makes a catalog.

        Args:
            folder: where the data set is.
        """
        return self.index.format(folder=shlex.quote(str(folder)))

    def chosen(self, pattern: str) -> list[RemoteFile]:
        """The files whose names match a pattern.

        Args:
            pattern: with `*` and `?`, such as `*Training*`.

        Raises:
            ConfigError: none matches.
        """
        found = [file for file in self.files if fnmatch(file.name, pattern)]
        if not found:
            raise ConfigError(f"--only {pattern}: matches none of {', '.join(file.name for file in self.files)}")
        return found


@cache
def data_sets() -> dict[str, DataSet]:
    """The known data sets by name, in the registry's order."""
    return TypeAdapter(dict[str, DataSet]).validate_python(yaml.safe_load(SETS.read_text(encoding="utf-8")))


def find_data_set(name: str) -> DataSet:
    """The data set of a name.

    Args:
        name: in any case.

    Raises:
        ConfigError: there is none of that name.
    """
    found = data_sets().get(name.lower())
    if found is None:
        raise ConfigError(f"data set {name!r}: unknown; known are {', '.join(data_sets())}")
    return found
