"""The folder of a data set: its files fetched, checked and unpacked, and a manifest of them."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from selcn.data.download.sets import DataSet, RemoteFile
from selcn.data.download.transfer import fetch, fetched_path
from selcn.data.download.unpack import unpack
from selcn.errors import DataError
from selcn.io.files import sha256, write_text
from selcn.io.progress import OnProgress

MANIFEST = "download.json"
"""In the folder: licence, and of each file its address, size, SHA-256, the published checksum ("" for none)
and whether it was there before (`own`)."""

logger = logging.getLogger(__name__)


class _Entry(BaseModel):
    """What a manifest must say of a file."""

    sha256: str
    published: str


class _Manifest(BaseModel):
    """What a manifest must hold."""

    data_set: str
    files: dict[str, _Entry]


def download(
    data_set: DataSet, folder: Path, on_progress: OnProgress, *, only: str = "*", mirror: str = ""
) -> dict[str, Any]:
    """Fetch a data set, or what is missing of it. Archives are unpacked to folders of their name and removed.

    A file whose checksum is not known must be the one that the manifest names, where it was fetched before. A file that
    is there without having been fetched is used where it has the published checksum; it is never changed or removed.

    Args:
        data_set: one that can be fetched.
        folder: where it goes; made if need be.
        on_progress: called with megabytes.
        only: a pattern of the names of files, such as `*Training*`.
        mirror: see `DataSet.address`.

    Returns:
        The manifest.

    Raises:
        ConfigError: the extra `download` is not installed, or no file has such a name.
        DataError: another data set, files of other origin or a broken manifest are in the folder, or see `fetch` and
            `unpack`.
    """
    files = data_set.chosen(only)
    with _alone(folder):
        manifest = _read(folder / MANIFEST, data_set)
        for file in files:
            _take(file, data_set.address(file, mirror), folder, manifest, on_progress)
    return manifest


def _take(file: RemoteFile, url: str, folder: Path, manifest: dict[str, Any], on_progress: OnProgress) -> None:
    path = folder / file.name
    archive = path.suffix == ".zip"
    place = path.with_suffix("") if archive else path
    known = manifest["files"].get(file.name)
    if not (known and place.exists()):
        if archive and place.exists():
            raise DataError(f"{place}: is there, but not by `selcn download`; move it away or choose another --out")
        checksum = file.checksum or (f"sha256:{known['sha256']}" if known else "")
        own = path.exists()
        if own:
            _check_own(path, checksum)
        source = path if own else fetch(url, path, checksum, on_progress)
        manifest["files"][file.name] = {
            "url": url,
            "bytes": source.stat().st_size,
            "sha256": sha256(source),
            "published": file.checksum,
            "own": own,
        }
        # Before the file or folder has its name: one without its entry is none of ours.
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        if archive:
            unpack(source, place)
        elif not own:
            source.replace(place)
    elif not archive and sha256(place) != known["sha256"]:
        raise DataError(f"{place}: has changed since it was downloaded; move it away to download it again")
    fetched_path(path).unlink(missing_ok=True)


def _check_own(path: Path, checksum: str) -> None:
    """Refuse a file that was not fetched, unless it is known to be the published one; it stays in either case."""
    method, _, digits = checksum.partition(":")
    if not checksum:
        raise DataError(
            f"{path}: is there, but not by `selcn download`, and no checksum of it is published; move it away or "
            "choose another --out"
        )
    with path.open("rb") as file:
        if hashlib.file_digest(file, method).hexdigest() != digits:
            raise DataError(
                f"{path}: is there, but not by `selcn download`, and does not have the checksum {checksum}; move it "
                "away or choose another --out"
            )
    logger.info("%s: was there and has the expected checksum; it is not fetched again, and stays", path)


def _read(path: Path, data_set: DataSet) -> dict[str, Any]:
    """The manifest of a folder, or that of a new one."""
    said = {"data_set": data_set.title, "page": data_set.page, "licence": data_set.licence}
    if not path.exists():
        return said | {"accepted": datetime.now(UTC).isoformat(timespec="seconds"), "files": {}}
    data = path.read_bytes()
    try:
        held = _Manifest.model_validate_json(data).data_set
    except ValidationError:
        raise DataError(f"{path}: is no whole manifest of `selcn download`; choose another --out") from None
    if held != data_set.title:
        raise DataError(f"{path}: is of {held}; choose another --out")
    manifest: dict[str, Any] = json.loads(data)
    return manifest


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder, so that two processes do not add to one file."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".download.lock", timeout=0):
            yield
    except Timeout:
        raise DataError(f"{folder}: another process downloads to it; wait for it, or choose another --out") from None
