"""ZIP archives to folders, whole or not at all; archives within archives too."""

import logging
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from selcn.errors import DataError, listed
from selcn.io.files import written_whole

_OF_MACS = "__MACOSX"
"""Folder of what macOS keeps beside each file: not the publisher's data, though named like it (`._a.jpg`)."""
_ENCRYPTED = 1  # bit of `ZipInfo.flag_bits`
logger = logging.getLogger(__name__)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive to a new folder, which appears once all of it is there; `__MACOSX` is left out and counted.

    Args:
        archive: a ZIP file.
        folder: does not exist.

    Raises:
        DataError: no ZIP archive, a damaged or an encrypted one, or a name in it leads out of the folder; nothing is
            left behind.
    """
    with written_whole(folder) as partial:
        _extract(archive, partial)
        while inner := next(partial.rglob("*.zip"), None):
            _extract(inner, inner.with_suffix(""))
            inner.unlink()


def _extract(archive: Path, folder: Path) -> None:
    try:
        with ZipFile(archive) as opened:
            members = opened.infolist()
            kept = [one for one in members if _OF_MACS not in PurePosixPath(one.filename).parts]
            _check(archive, members)
            folder.mkdir(exist_ok=True)
            opened.extractall(folder, kept)
    # Besides what zipfile raises itself: of damaged data, of a damaged list of members, of an unknown compression.
    except (BadZipFile, EOFError, zlib.error, struct.error, ValueError, NotImplementedError) as error:
        raise DataError(f"{archive}: is no whole ZIP archive ({error}); remove it and run the command again") from None
    if len(kept) < len(members):
        logger.info("%s: %d entries of macOS (%s) are left out", archive, len(members) - len(kept), _OF_MACS)


def _check(archive: Path, members: list[ZipInfo]) -> None:
    unsafe = list(_unsafe(members))
    if unsafe:
        raise DataError(f"{archive}: names in it lead out of its folder: {listed(unsafe)}; it was not unpacked")
    encrypted = [repr(one.filename) for one in members if one.flag_bits & _ENCRYPTED]
    if encrypted:
        raise DataError(f"{archive}: needs a password for {listed(encrypted)}; unpack it with another program")


def _unsafe(members: list[ZipInfo]) -> Iterator[str]:
    """Names that are absolute, climb with `..`, name a drive, or are symbolic links."""
    for member in members:
        windows, posix = PureWindowsPath(member.orig_filename), PurePosixPath(member.orig_filename)
        link = stat.S_ISLNK(member.external_attr >> 16)
        if link or windows.drive or windows.root or posix.root or ".." in windows.parts:
            yield repr(member.orig_filename)
