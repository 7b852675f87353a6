"""ZIP archives to folders, whole or not at all; archives within archives too."""

import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from selcn.errors import DataError, listed
from selcn.io.files import written_whole


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive to a new folder, which appears once all of it is there.

    Args:
        archive: a ZIP file.
        folder: does not exist.

    Raises:
        DataError: no ZIP archive or a damaged one, or a name in it leads out of the folder; nothing is left behind.
    """
    with written_whole(folder) as partial:
        _extract(archive, partial)
        while inner := next(partial.rglob("*.zip"), None):
            _extract(inner, inner.with_suffix(""))
            inner.unlink()


def _extract(archive: Path, folder: Path) -> None:
    try:
        with ZipFile(archive) as opened:
            unsafe = list(_unsafe(opened.infolist()))
            if unsafe:
                raise DataError(f"{archive}: names in it lead out of its folder: {listed(unsafe)}; it was not unpacked")
            opened.extractall(folder)
    except (BadZipFile, EOFError) as error:
        raise DataError(f"{archive}: is no whole ZIP archive ({error}); remove it and run the command again") from None


def _unsafe(members: list[ZipInfo]) -> Iterator[str]:
    """Names that are absolute, climb with `..`, name a drive, or are symbolic links."""
    for member in members:
        windows, posix = PureWindowsPath(member.orig_filename), PurePosixPath(member.orig_filename)
        link = stat.S_ISLNK(member.external_attr >> 16)
        if link or windows.drive or windows.root or posix.root or ".." in windows.parts:
            yield repr(member.orig_filename)
