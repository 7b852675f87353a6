"""The registry of sources: what `selcn index` reads, and under which licence it was published."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from selcn.data.sources.indexed import Indexed
from selcn.errors import ConfigError

UNKNOWN_LICENCE = "unknown to selcn: ask whoever published the images"


@dataclass(frozen=True)
class SourceSpec:
    """A data set's layout, or a way to make a catalog of other catalogs.

    Attributes:
        name: on the command line, in lower case. A catalog's `source` that begins with it has its licence.
        long_name: for people, with the citation where there is one.
        reads: which files it reads, in Markdown.
        index: from a list of paths to a catalog; its keyword-only parameters are the options that it takes, of `masks`,
            `labels`, `symmetry` (paths), `columns` (the table's names by the catalog's) and `on_progress`.
        takes: the arguments of `selcn index NAME`, for example `PATH...`.
        licence: under which the images were published, with the citation that it asks for; "" where selcn cannot know.
    """

    name: str
    long_name: str
    reads: str
    index: Callable[..., Indexed]
    takes: str = "PATH..."
    licence: str = ""

    @property
    def options(self) -> frozenset[str]:
        """Names of the options that `index` takes."""
        parameters = inspect.signature(self.index).parameters.values()
        return frozenset(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)


_SOURCES: dict[str, SourceSpec] = {}
# What `selcn phantom` makes needs no indexing; the others have a layout that `folder` reads, after whose name they go.
_LICENCES = {
    "phantom": "synthetic, drawn by selcn",
    "bcn20000": "CC BY-NC 4.0 (Hernandez-Perez et al. 2024)",
    "pad-ufes-20": "CC BY 4.0 (Pacheco et al. 2020)",
    "fitzpatrick17k": "CC BY-NC-SA 3.0 (Groh et al. 2021)",
}


def register_source(spec: SourceSpec) -> SourceSpec:
    """Make a source known by its name; a later one of the same name replaces it.

    Args:
        spec: of the source.

    Returns:
        The same.
    """
    _SOURCES[spec.name] = spec
    if spec.licence:
        _LICENCES[spec.name] = spec.licence
    return spec


def source_specs() -> dict[str, SourceSpec]:
    """The known sources by name, in the order of the alphabet."""
    return dict(sorted(_SOURCES.items()))


def find_source(name: str) -> SourceSpec:
    """The source of a name.

    Args:
        name: in any case.

    Raises:
        ConfigError: there is none of that name.
    """
    if name.lower() not in _SOURCES:
        raise ConfigError(f"source {name!r}: unknown; known are {', '.join(source_specs())}")
    return _SOURCES[name.lower()]


def licence_of(source: str) -> str:
    """Licence of a catalog's `source`, told from how its name begins; of several names that fit, the longest counts.

    Args:
        source: a cell of the catalog's column `source`, in any case.
    """
    fitting = [name for name in _LICENCES if source.lower().startswith(name)]
    return _LICENCES[max(fitting, key=len)] if fitting else UNKNOWN_LICENCE
