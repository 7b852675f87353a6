"""Downloads from a server of the tests: broken connections, changed files, archives that are not to be trusted."""

import hashlib
import json
import logging
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pytest
from file_server import FileServer, serving, zipped

from selcn.data.download import MANIFEST, DataSet, RemoteFile, data_sets, download, find_data_set
from selcn.data.download.transfer import BLOCK
from selcn.data.download.unpack import unpack
from selcn.errors import ConfigError, DataError

TABLE = b"image,diagnosis\nISIC_0000001,nv\n"
IMAGES = zipped({"Data/a.jpg": np.random.default_rng(0).bytes(3_000_000), "Data/b.jpg": b"b"})


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files = {"host/2099/table.csv": TABLE, "host/2099/Data.zip": IMAGES}
        yield running


def clinic(**checksums: str) -> DataSet:
    """Two files at the publisher https://host, with checksums by the stem of their names."""
    files = tuple(
        RemoteFile(name=name, checksum=checksums.get(Path(name).stem, "")) for name in ("table.csv", "Data.zip")
    )
    return DataSet(
        title="clinic", licence="CC0", page="", folder="clinic", index="", base="https://host/2099/", files=files
    )


def fetch(
    server: FileServer, folder: Path, data_set: DataSet | None = None, only: str = "*"
) -> dict[str, dict[str, Any]]:
    """The files of the manifest."""
    moved: list[int] = []
    manifest = download(
        data_set or clinic(),
        folder,
        lambda done, _total, _note="": moved.append(done),
        only=only,
        mirror=server.address,
    )
    assert moved == sorted(moved) or len(server.asked) > 1
    return dict(manifest["files"])


def held(folder: Path) -> list[str]:
    """The files below a folder, without the lock."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(".lock"))


def test_a_cut_connection_is_resumed_by_range_and_nothing_comes_twice(server: FileServer, tmp_path: Path) -> None:
    server.cut["host/2099/Data.zip"] = [20 * BLOCK + 7, 8 * BLOCK + 9]
    files = fetch(server, tmp_path)
    assert [wanted for path, wanted in server.asked if "Data" in path] == [
        "",
        f"bytes={20 * BLOCK}-",
        f"bytes={28 * BLOCK}-",
    ]
    assert held(tmp_path) == ["Data/Data/a.jpg", "Data/Data/b.jpg", MANIFEST, "table.csv"]
    assert files["Data.zip"]["sha256"] == hashlib.sha256(IMAGES).hexdigest()
    assert files["Data.zip"]["bytes"] == len(IMAGES)
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8").partition("## Download")[2]
    assert {*json.loads((tmp_path / MANIFEST).read_text()), *files["Data.zip"]} <= set(
        re.findall("`([a-z_0-9]+)`", page)
    )
    asked = len(server.asked)
    assert fetch(server, tmp_path) == files == json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert len(server.asked) == asked


def test_what_broke_off_is_resumed_by_the_next_command_and_not_seen_before(server: FileServer, tmp_path: Path) -> None:
    server.cut["host/2099/Data.zip"] = [700_000, 0]  # the second connection brings nothing
    with pytest.raises(DataError, match=r"Data.zip: the connection broke after 655360 bytes .*it resumes from there"):
        fetch(server, tmp_path)
    seen = [".partial-Data.zip", ".partial-Data.zip.version", MANIFEST, "table.csv"]
    assert held(tmp_path) == seen
    fetch(server, tmp_path)
    assert server.asked[-1] == ("host/2099/Data.zip", "bytes=655360-")
    assert (tmp_path / "Data/Data/b.jpg").read_bytes() == b"b"

    # A process that ended after the last byte, and one that ended while it unpacked.
    other = tmp_path / "other"
    server.cut["host/2099/Data.zip"] = [len(IMAGES), 0]
    other.mkdir()
    (other / ".partial-Data.zip").write_bytes(IMAGES)
    (other / ".partial-Data.zip.version").write_text(f'"{hashlib.md5(IMAGES).hexdigest()}"')
    (other / ".partial-Data").mkdir()
    assert fetch(server, other)["Data.zip"]["bytes"] == len(IMAGES)
    assert server.asked[-1] == ("host/2099/Data.zip", f"bytes={len(IMAGES)}-")
    assert held(other) == ["Data/Data/a.jpg", "Data/Data/b.jpg", MANIFEST, "table.csv"]


def test_files_of_the_users_own_are_neither_taken_for_fetched_nor_removed(
    server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = {"table.csv": b"mine", "Data.zip": zipped({"mine.jpg": b"mine"})}
    for name, only in (("table.csv", "*.csv"), ("Data.zip", "*.zip")):
        (tmp_path / name).write_bytes(mine[name])
        with pytest.raises(DataError, match=rf"{name}: is there, but not by .* no checksum of it is published; move"):
            fetch(server, tmp_path, only=only)
        with pytest.raises(DataError, match=rf"{name}: is there, but not by .* does not have the checksum md5:0+; mov"):
            fetch(server, tmp_path, clinic(table="md5:" + "0" * 32, Data="md5:" + "0" * 32), only)
    assert {name: (tmp_path / name).read_bytes() for name in held(tmp_path)} == mine
    assert server.asked == []

    (tmp_path / "table.csv").unlink()
    mine["Data.zip"] = IMAGES
    (tmp_path / "Data.zip").write_bytes(IMAGES)
    published = clinic(Data="sha256:" + hashlib.sha256(IMAGES).hexdigest())
    with caplog.at_level(logging.INFO, "selcn"):
        files = fetch(server, tmp_path, published)
    assert [path for path, _ in server.asked] == ["host/2099/table.csv"]
    assert {name: file["own"] for name, file in files.items()} == {"table.csv": False, "Data.zip": True}
    assert "Data.zip: was there and has the expected checksum; it is not fetched again, and stays" in caplog.text
    for _ in range(2):
        assert held(tmp_path) == ["Data.zip", "Data/Data/a.jpg", "Data/Data/b.jpg", MANIFEST, "table.csv"]
        assert fetch(server, tmp_path, published) == files


def test_a_process_that_ended_between_its_steps_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / ".fetched-Data.zip").write_bytes(IMAGES)  # whole, not yet recorded
    files = fetch(server, tmp_path, only="*.zip")
    shutil.rmtree(tmp_path / "Data")
    (tmp_path / ".fetched-Data.zip").write_bytes(IMAGES)  # recorded, not yet unpacked
    assert fetch(server, tmp_path, only="*.zip") == files
    (tmp_path / ".fetched-Data.zip").write_bytes(IMAGES)  # unpacked, not yet removed
    fetch(server, tmp_path, only="*.zip")
    assert server.asked == []
    assert held(tmp_path) == ["Data/Data/a.jpg", "Data/Data/b.jpg", MANIFEST]
    assert not files["Data.zip"]["own"]


@pytest.mark.parametrize("tags", [True, False])
def test_a_file_that_changes_between_two_connections_starts_anew(
    server: FileServer, tmp_path: Path, tags: bool
) -> None:
    server.tags = tags
    server.cut["host/2099/Data.zip"] = [700_000, 0]
    with pytest.raises(DataError, match="connection broke"):
        fetch(server, tmp_path)
    server.cut.clear()
    server.files["host/2099/Data.zip"] = zipped({"new.jpg": np.random.default_rng(1).bytes(2_000_000)})
    fetch(server, tmp_path)
    assert (tmp_path / "Data/new.jpg").stat().st_size == 2_000_000


def test_another_checksum_than_the_published_one_is_refused(server: FileServer, tmp_path: Path) -> None:
    md5 = "md5:" + hashlib.md5(TABLE).hexdigest()
    published = clinic(table=md5, Data="sha256:" + "0" * 64)
    with pytest.raises(DataError, match=r"Data.zip: its content does not have the checksum sha256:000"):
        fetch(server, tmp_path, published)
    assert held(tmp_path) == [MANIFEST, "table.csv"]
    assert json.loads((tmp_path / MANIFEST).read_text())["files"]["table.csv"]["published"] == md5


def test_a_file_that_its_publisher_changed_is_refused_and_the_old_ones_kept(server: FileServer, tmp_path: Path) -> None:
    first = fetch(server, tmp_path)
    for name in ("Data/Data/a.jpg", "Data/Data/b.jpg"):
        (tmp_path / name).unlink()
    (tmp_path / "Data/Data").rmdir()
    (tmp_path / "Data").rmdir()
    server.files |= {"host/2099/Data.zip": zipped({"c.jpg": b"c"}), "host/2099/table.csv": b"other"}
    with pytest.raises(DataError, match=f"does not have the checksum sha256:{first['Data.zip']['sha256']}"):
        fetch(server, tmp_path)
    assert held(tmp_path) == [MANIFEST, "table.csv"]
    assert (tmp_path / "table.csv").read_bytes() == TABLE
    assert json.loads((tmp_path / MANIFEST).read_text())["files"] == first

    (tmp_path / "table.csv").write_text("edited")
    with pytest.raises(DataError, match=r"table.csv: has changed since it was downloaded"):
        fetch(server, tmp_path)
    assert (tmp_path / "table.csv").read_text() == "edited"


def test_only_some_files_and_what_is_wrong_with_a_folder(server: FileServer, tmp_path: Path) -> None:
    assert list(fetch(server, tmp_path, only="*.csv")) == ["table.csv"]
    with pytest.raises(ConfigError, match=r"--only x\*: matches none of table.csv, Data.zip"):
        fetch(server, tmp_path, only="x*")
    (tmp_path / "Data").mkdir()
    with pytest.raises(DataError, match=r"Data: is there, but not by `selcn download`"):
        fetch(server, tmp_path)
    with pytest.raises(DataError, match=rf"{MANIFEST}: is of clinic; choose another --out"):
        fetch(server, tmp_path, clinic().model_copy(update={"title": "ward"}))
    for content in (b"{", b"\xff", b"[]", b'{"data_set": "clinic", "files": {"table.csv": {}}}'):
        (tmp_path / MANIFEST).write_bytes(content)
        with pytest.raises(DataError, match=rf"{MANIFEST}: is no whole manifest of `selcn download`; choose another"):
            fetch(server, tmp_path)
    server.files["host/2099/table.csv"] = b"<html>log in</html>"
    with pytest.raises(DataError, match=r"table.csv: the server sends a page instead of the file"):
        fetch(server, tmp_path / "new")
    del server.files["host/2099/table.csv"]
    with pytest.raises(DataError, match=r"table.csv: the server answers 404"):
        fetch(server, tmp_path / "new")


@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "..\\out.jpg", "C:\\out.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.zip").write_bytes(zipped({"fine.jpg": b"1", name: b"2"}))
    (tmp_path / "outer.zip").write_bytes(zipped({"inner/bad.zip": (tmp_path / "bad.zip").read_bytes()}))
    for archive in ("bad.zip", "outer.zip"):
        with pytest.raises(DataError, match="names in it lead out of its folder"):
            unpack(tmp_path / archive, tmp_path / "place")
    assert held(tmp_path) == ["bad.zip", "outer.zip"]


def test_links_are_refused_and_damaged_archives_leave_nothing(tmp_path: Path) -> None:
    link = ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"lead out of its folder: 'link.jpg'"):
        unpack(tmp_path / "link.zip", tmp_path / "place")
    damaged = bytearray(zipped({"a.jpg": b"a" * 1000, "b.jpg": b"b" * 1000}))
    damaged[1200] ^= 1
    deflated = zipped({"a.jpg": np.random.default_rng(0).bytes(300) * 3}, ZIP_DEFLATED)
    broken = bytearray(deflated)
    broken[35] = 7  # no kind of block that zlib knows
    unknown = bytearray(deflated)
    for at in (8, deflated.index(b"PK\1\2") + 10):
        unknown[at] = 77  # a method of compression that nobody knows
    for content in (damaged, damaged[:500], b"no archive", broken, unknown):
        (tmp_path / "damaged.zip").write_bytes(content)
        with pytest.raises(DataError, match=r"damaged.zip: is no whole ZIP archive"):
            unpack(tmp_path / "damaged.zip", tmp_path / "place")
    assert held(tmp_path) == ["damaged.zip", "link.zip"]


def test_an_archive_with_a_password_is_refused_and_what_a_mac_adds_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = zipped({"a.jpg": b"a", "__MACOSX/._a.jpg": b"m", "b/__MACOSX/._c.zip": b"m"})
    (tmp_path / "mac.zip").write_bytes(content)
    with caplog.at_level(logging.INFO, "selcn"):
        unpack(tmp_path / "mac.zip", tmp_path / "mac")
    assert held(tmp_path / "mac") == ["a.jpg"]
    assert [message.partition(": ")[2] for message in caplog.messages] == ["2 entries of macOS (__MACOSX) are left out"]
    locked = bytearray(content)
    locked[6] |= 1
    locked[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(DataError, match=r"locked.zip: needs a password for 'a.jpg'; unpack it with another program"):
        unpack(tmp_path / "locked.zip", tmp_path / "locked")
    assert not (tmp_path / "locked").exists()


def test_archives_within_archives_are_unpacked(tmp_path: Path) -> None:
    inner = zipped({"imgs_part_1/a.png": b"a"})
    (tmp_path / "outer.zip").write_bytes(zipped({"images/imgs_part_1.zip": inner, "metadata.csv": b"m"}))
    unpack(tmp_path / "outer.zip", tmp_path / "place")
    assert held(tmp_path / "place") == ["images/imgs_part_1/imgs_part_1/a.png", "metadata.csv"]


def test_the_registry_is_whole_and_names_files_once() -> None:
    for data_set in data_sets().values():
        assert data_set.licence
        assert data_set.page.startswith("https://")
        assert len({file.name for file in data_set.files}) == len(data_set.files)
        assert all(data_set.address(file).startswith("https://") for file in data_set.files)
    dataverse = find_data_set("HAM10000")
    assert dataverse.address(dataverse.files[0], "http://mirror/x/") == (
        "http://mirror/x/dataverse.harvard.edu/api/access/datafile/4338392?format=original"
    )
    with pytest.raises(ConfigError, match=r"^data set 'ham': unknown; known are ham10000, isic2016, "):
        find_data_set("ham")
