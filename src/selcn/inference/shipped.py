"""The bundle that ships with selcn, which answers where none is named."""

import logging
from collections.abc import Sequence
from pathlib import Path

from selcn.errors import ConfigError, RunError
from selcn.inference.bundle import CONFIG, MANIFEST
from selcn.inference.hub import parse_address

NAME = "ham10000"
LICENCE = "CC BY-NC 4.0"
PLACES = (Path(__file__).parents[1] / "bundles", Path(__file__).parents[3] / "bundles")
"""Folders of bundles: that of an installed package, and that of a checkout."""

logger = logging.getLogger(__name__)


def shipped_bundle() -> Path:
    """The folder of the bundle that ships.

    Raises:
        RunError: this installation has none.
    """
    for place in PLACES:
        if (place / NAME / MANIFEST).is_file():
            logger.info("bundle %s of selcn, trained on HAM10000; weights for research, %s", NAME, LICENCE)
            return place / NAME
    raise RunError("no bundle ships with this installation of selcn; name one, such as runs/demo/bundle")


def split_words(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The bundle of a command line, None for the one that ships, and the inputs that follow.

    Args:
        words: `[BUNDLE] INPUT...`, as a person types them.

    Raises:
        ConfigError: the first word is a run, or a bundle is all there is.
    """
    first, *others = words
    folder = Path(first)
    if (folder / "bundle" / MANIFEST).is_file():
        raise ConfigError(f"{first}: is a run; give its bundle, {folder / 'bundle'}")
    if not (parse_address(first) or any((folder / name).is_file() for name in (MANIFEST, CONFIG))):
        return None, list(words)
    if not others:
        raise ConfigError(f"{first}: is a bundle, and no images follow it; give images, folders or a table")
    return first, others
