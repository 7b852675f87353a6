"""Object storage, such as `s3://bucket/folder`: listing, reading and writing its files, through fsspec.

Credentials, regions and endpoints are those of the environment, as the libraries of each storage read them
(`AWS_PROFILE`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS` ...).
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from selcn.errors import ConfigError, SelcnError, StorageError, require_extra

LIBRARIES = {"s3": "s3fs", "gs": "gcsfs"}
CACHE = "SELCN_CACHE"
"""Environment variable of the folder in which results are kept until they are uploaded."""
TRANSFERS = 16
"""Files that are asked for or sent at once; each of them mostly waits."""
# As a path the address has a single slash.
_ADDRESS = re.compile(rf"({'|'.join(LIBRARIES)}):/{{1,2}}([^/].*)", re.DOTALL)


def is_remote(path: str | PurePath) -> bool:
    """Whether a path is an address of object storage.

    Args:
        path: address or path; a `Path` of an address is one too.
    """
    return _ADDRESS.fullmatch(_text(path)) is not None


def address_of(path: str | PurePath) -> str:
    """An address in full, as `s3://bucket/key`.

    Args:
        path: for which `is_remote` holds.
    """
    found = _ADDRESS.fullmatch(_text(path))
    if found is None:
        raise ConfigError(f"{path}: is no address of object storage; write it as s3://bucket/folder")
    return f"{found[1]}://{found[2].rstrip('/')}"


def joined(folder: Path, name: str) -> str:
    """The path or address of a file that a table in a folder names.

    Args:
        folder: of the table, here or in object storage.
        name: path relative to it, absolute path, or address.
    """
    if is_remote(name):
        return address_of(name)
    path = folder / name
    return address_of(path) if is_remote(path) else str(path)


def read(path: str | PurePath) -> bytes:
    """A file's content.

    Args:
        path: its address.

    Raises:
        FileNotFoundError: there is none.
        StorageError: the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(path)
    with _in_one_line(address):
        content: bytes = _system(address).cat_file(address)
    return content


def state(path: str | PurePath) -> tuple[int, str] | None:
    """Size in bytes and a tag that changes with the content; None of a file that is not there.

    Args:
        path: its address.

    Raises:
        StorageError: the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(path)
    try:
        with _in_one_line(address):
            info = _system(address).info(address)
    except FileNotFoundError:
        return None
    return _state(info)


def states_in(folder: str | PurePath) -> dict[str, tuple[int, str]]:
    """`state` of each file of a folder by its address, from one listing; subfolders are left out.

    Args:
        folder: its address.

    Raises:
        StorageError: the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(folder)
    try:
        with _in_one_line(address):
            listed = _system(address).ls(address, detail=True)
    except FileNotFoundError:
        return {}
    protocol = address.partition("://")[0]
    return {f"{protocol}://{info['name']}": _state(info) for info in listed if info["type"] == "file"}


def find(path: str | PurePath) -> list[str]:
    """The addresses of all files below a folder, or that a pattern with `*` matches, sorted; hidden ones left out.

    Args:
        path: address of the folder, or pattern.

    Raises:
        StorageError: no such bucket, the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(path)
    _check_bucket(address)
    system = _system(address)
    with _in_one_line(address):
        listed = system.glob(address, detail=True) if "*" in address else system.find(address, detail=True)
    protocol = address.partition("://")[0]
    named = sorted(f"{protocol}://{name}" for name, info in listed.items() if info["type"] == "file")
    return [name for name in named if "/." not in name.removeprefix(address) and not name.endswith("/")]


def upload(folder: Path, target: str | PurePath, on_progress: Callable[[int, int], None] | None = None) -> int:
    """Move all files of a folder to object storage; resumable, since what is there is removed here.

    Args:
        folder: of this machine; hidden files are left out.
        target: address of the folder there.
        on_progress: called with files sent and files in all.

    Returns:
        How many files were sent.

    Raises:
        StorageError: the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(target)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = [path for path in files if not any(part.startswith(".") for part in path.parts)]

    def send(path: Path) -> None:
        place = f"{address}/{path.as_posix()}"
        with _in_one_line(place):
            _system(address).put_file(str(folder / path), place)
        (folder / path).unlink()

    with ThreadPoolExecutor(TRANSFERS) as pool:
        for done, _ in enumerate(pool.map(send, shown), start=1):
            if on_progress:
                on_progress(done, len(shown))
    return len(shown)


def check_target(path: str | PurePath, *, new: bool) -> None:
    """Refuse an address that cannot be written to.

    Args:
        path: address of a file or folder to be made.
        new: whether nothing may be there yet.

    Raises:
        StorageError: its bucket is not there, something is there already, or the storage cannot be reached or refuses.
        ConfigError: the extra is not installed.
    """
    address = address_of(path)
    if address.count("/") < len(["s3:", "", "bucket", "key"]) - 1:
        raise ConfigError(f"{address}: is a whole bucket; give a folder in it")
    _check_bucket(address)
    with _in_one_line(address):
        there = new and _system(address).exists(address)
    if there:
        raise StorageError(f"{address}: exists already; remove it or choose another --out")


def working_copy(path: str | PurePath) -> Path:
    """The file or folder of this machine in which a result is made before it is uploaded; the same for each address.

    Args:
        path: address of the result.
    """
    address = address_of(path)
    cache = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "selcn")
    return cache / "out" / hashlib.sha256(address.encode()).hexdigest()[:16] / PurePath(address).name


def _state(info: Mapping[str, Any]) -> tuple[int, str]:
    """Size and tag of what a library tells about a file; a listing tells the same."""
    tag = next((info[name] for name in ("ETag", "etag", "LastModified", "updated") if info.get(name)), "")
    return int(info["size"]), str(tag)


def _text(path: str | PurePath) -> str:
    return path if isinstance(path, str) else path.as_posix()


@lru_cache
def _library(protocol: str) -> Any:  # noqa: ANN401 - fsspec has no types
    require_extra(LIBRARIES[protocol], "storage", f"{protocol}://")
    return require_extra("fsspec", "storage", f"{protocol}://").filesystem(protocol)


def _system(address: str) -> Any:  # noqa: ANN401
    return _library(address.partition("://")[0])


def _check_bucket(address: str) -> None:
    bucket = "/".join(address.split("/")[:3])
    with _in_one_line(bucket):
        there = _system(address).exists(bucket)
    if not there:
        raise StorageError(
            f"{bucket}: no such bucket, or not for these credentials; check its name and the credentials"
        )


@contextmanager
def _in_one_line(address: str) -> Iterator[None]:
    """Turn what storage libraries raise, which is of any kind, into the two errors of this module."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object", address) from None
    except SelcnError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise StorageError(
            f"{address}: object storage cannot be used ({reason}); check the credentials, the address and the network, "
            "and start again"
        ) from None
