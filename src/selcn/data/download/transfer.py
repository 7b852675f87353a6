"""One file over HTTP: resumed where a connection or a process broke off, seen under its name only once it is whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selcn.errors import DataError, require_extra
from selcn.io.progress import OnProgress

if TYPE_CHECKING:
    import requests

BLOCK, MEGABYTE = 1 << 16, 1 << 20
"""What is written at once, and so the most that a broken connection loses; the unit of progress."""
SECONDS_WITHOUT_DATA = 60
"""After which a connection counts as broken."""
PARTIAL_CONTENT, UNSATISFIABLE = 206, 416


def fetched_path(path: Path) -> Path:
    """Where a file that was fetched lies until it is recorded: no file of a user's has this name.

    Args:
        path: of the file in the end.
    """
    return path.with_name(f".fetched-{path.name}")


def fetch(url: str, path: Path, checksum: str, on_progress: OnProgress) -> Path:
    """Download a file, or the rest of one whose download broke off.

    Args:
        url: its address.
        path: the file in the end, whose folder exists; nothing is written to it.
        checksum: `md5:...` or `sha256:...`, which it must have; "" where none is known.
        on_progress: called with megabytes.

    Returns:
        `fetched_path` of it; what is there already, with this checksum, is kept.

    Raises:
        ConfigError: the extra `download` is not installed.
        DataError: the server refuses, the connection breaks, or the file has another checksum.
    """
    pooch = require_extra("pooch", "download", "selcn download")
    pooch.get_logger().setLevel("WARNING")
    downloader, fetched = _Resumable(path, on_progress), fetched_path(path)
    try:
        pooch.retrieve(url, checksum or None, fname=fetched.name, path=path.parent, downloader=downloader)
    except ValueError:  # what pooch raises of a checksum
        raise DataError(
            f"{url}: its content does not have the checksum {checksum}; it was not kept. Run the command again; "
            "if it stays so, the publisher has changed the file"
        ) from None
    return fetched


@dataclass(frozen=True)
class _Resumable:
    """A downloader as pooch calls it, which checks the file that comes of it and moves it into place.

    What has come so far is in `.partial-NAME`. The rest is asked for only if the server still has the same version,
    by the `ETag` or date that is in `.partial-NAME.version`.
    """

    path: Path
    on_progress: OnProgress

    @property
    def partial(self) -> Path:
        return self.path.with_name(f".partial-{self.path.name}")

    @property
    def version(self) -> Path:
        return self.path.with_name(f".partial-{self.path.name}.version")

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download a file to ``output_file``, on as many connections as it takes while each brings something.

        Args:
            url: its address.
            output_file: where pooch expects it.
            _pooch: not used.
        """
        import requests

        while True:
            before = self._received()
            try:
                self._receive(url)
                break
            except requests.RequestException as error:
                if self._received() <= before:
                    reason = str(error).partition("\n")[0][:200]
                    raise DataError(
                        f"{url}: the connection broke after {self._received()} bytes ({reason}); "
                        "run the same command again, it resumes from there"
                    ) from None
        self.partial.replace(output_file)
        self.version.unlink(missing_ok=True)

    def _received(self) -> int:
        """Bytes to which the rest may be added."""
        resumable = self.partial.is_file() and self.version.is_file() and self.version.read_text(encoding="latin-1")
        return self.partial.stat().st_size if resumable else 0

    def _receive(self, url: str) -> None:
        import requests

        done = self._received()
        headers = {"Accept-Encoding": "identity"}  # a range is one of the file's own bytes
        if done:
            headers |= {"Range": f"bytes={done}-", "If-Range": self.version.read_text(encoding="latin-1")}
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS_WITHOUT_DATA) as response:
            said = response.headers.get("Content-Range", "")
            if response.status_code == UNSATISFIABLE and said == f"bytes */{done}":
                return
            if not response.ok:
                raise DataError(f"{url}: the server answers {response.status_code} {response.reason}")
            if "html" in response.headers.get("Content-Type", ""):
                raise DataError(f"{url}: the server sends a page instead of the file; open it in a browser to see why")
            if response.status_code == PARTIAL_CONTENT and not said.startswith(f"bytes {done}-"):
                raise DataError(f"{url}: the server sends another range than bytes {done}-; remove {self.partial}")
            self._append(response, done if response.status_code == PARTIAL_CONTENT else 0)

    def _append(self, response: "requests.Response", done: int) -> None:
        import requests

        expected = done + int(response.headers.get("Content-Length", 0))
        with self.partial.open("ab" if done else "wb") as file:
            self.version.write_text(_version(response.headers), encoding="latin-1")
            for chunk in response.iter_content(BLOCK):
                done += file.write(chunk)
                self.on_progress(done // MEGABYTE, max(done, expected) // MEGABYTE, f"MB {self.path.name}")
        if done < expected:
            raise requests.ConnectionError(f"{expected - done} of {expected} bytes are missing")


def _version(headers: Mapping[str, str]) -> str:
    """What `If-Range` names a version by: a strong `ETag`, else a date; "" where the server gives neither."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
