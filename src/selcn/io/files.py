"""Atomic writes of files and folders, checksums, data URIs."""

import base64
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_NAME = 255
"""Bytes of a file's name that file systems take."""
REMOVALS = 20
"""How often a folder is removed until it is gone."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which is renamed to ``path`` when the block ends and deleted when it fails.

    Args:
        path: of a file, or of a folder that the block creates; a folder must not exist under this name yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    if len(os.fsencode(partial.name)) > MAX_NAME:
        partial = path.with_name(f".partial-{hashlib.sha256(os.fsencode(path.name)).hexdigest()}{path.suffix}")
    _remove(partial)
    try:
        yield partial
        partial.replace(path)
    finally:
        _remove(partial)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, with the same line ends on every system.

    Args:
        path: of the file; an existing one is replaced.
        text: the whole content.
    """
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def remove_folder(folder: Path) -> None:
    """Remove a folder, in which a process that ends may still write its last file.

    Args:
        folder: an existing one.
    """
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    shutil.rmtree(folder)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Args:
        path: of the file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_uri(media_type: str, data: bytes) -> str:
    """A data URI that embeds a file in a self-contained HTML page.

    Args:
        media_type: for example `image/png`.
        data: the file's bytes.
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
