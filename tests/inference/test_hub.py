"""Bundles to and from a hub on this machine, in processes of their own: its library reads the environment once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import TOKEN, Hub, hub

import selcn
from selcn.errors import ConfigError
from selcn.inference.hub import HubAddress, parse_address, parse_target

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Each line is what one line of the input says: a command's words, or the address of a bundle to load and the image.
SESSION = """
import contextlib, io, json, sys
import selcn
from selcn.cli import main
from selcn.errors import SelcnError

for line in sys.stdin:
    words, out = json.loads(line), io.StringIO()
    try:
        if words[0] == "load":
            found = selcn.load(words[1]).predict(words[2])["diagnosis"].probabilities
        else:
            sys.argv = ["selcn", *words]
            with contextlib.redirect_stdout(out):
                main()
            found = out.getvalue().split()
    except (SelcnError, SystemExit) as error:
        found = str(error) if isinstance(error, SelcnError) else out.getvalue().split() or error.code
    print("=" + json.dumps(found))
"""


def session(lines: list[list[str]], home: Path, address: str, **settings: str) -> tuple[list[object], str]:
    """What each line led to, and what was logged."""
    apart = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))},
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **settings,
    }
    given = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(
        [sys.executable, "-c", SESSION], input=given, env=apart, cwd=home, capture_output=True, text=True, check=True
    )
    return [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("=")], done.stderr


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as running:
        yield running


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://owner/name", HubAddress("owner/name", None)),
        ("hf://owner/na.me-2@v1.0", HubAddress("owner/na.me-2", "v1.0")),
        (Path("hf://owner/name@refs/pr/1"), HubAddress("owner/name", "refs/pr/1")),
        (f"hf://owner/name@{COMMIT}", HubAddress("owner/name", COMMIT)),
        ("runs/demo/bundle", None),
    ],
)
def test_an_address_is_read_from_text_or_from_a_path(text: str | Path, expected: HubAddress | None) -> None:
    found = parse_address(text)
    assert found == expected
    if found:
        assert str(found).replace("://", ":/") == Path(text).as_posix()
        assert found.pinned == (found.revision == COMMIT)


@pytest.mark.parametrize("text", ["hf://name", "hf://owner/name@", "hf://a/b/c", "hf://owner/name@a b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write hf://owner/name"):
        parse_address(text)


def test_nothing_is_pushed_to_a_commit_or_a_folder() -> None:
    with pytest.raises(ConfigError, match="name a branch"):
        parse_target(f"hf://owner/name@{COMMIT}")
    with pytest.raises(ConfigError, match="is no address"):
        parse_target("runs/demo")


def test_a_bundle_goes_to_the_hub_and_predicts_from_there(tiny_run: Path, tmp_path: Path, server: Hub) -> None:
    bundle, image = str(tiny_run / "bundle"), str(sorted((tiny_run / "data/phantom/images").iterdir())[0])
    expected = selcn.load(bundle).predict(image)["diagnosis"].probabilities
    lines = [
        ["bundle", bundle, "--push", "hf://owner/name"],
        ["bundle", bundle, "--push", "hf://owner/name@second"],
        ["load", "hf://owner/name", image],
        ["predict", "hf://owner/name@second", image, "--out", "predictions"],
        ["load", "hf://owner/missing", image],
        ["load", f"hf://owner/name@{COMMIT}", image],
    ]
    (pushed, again, found, told, missing, unknown), log = session(lines, tmp_path, server.address, HF_TOKEN=TOKEN)
    repository = server.repositories["owner/name"]
    commit = repository.branches["main"]
    assert pushed == [f"hf://owner/name@{commit}"] == again  # the same files are the same commit here
    assert repository.private
    assert repository.commits[commit] == {
        path.name: path.read_bytes() for path in Path(bundle).iterdir() if path.name != "step.json"
    }
    assert found == expected
    assert told == ["predictions/predictions.jsonl:", "1", "of", "1", "files"]
    assert f"hf://owner/name: is now hf://owner/name@{commit}" in log
    assert "hf://owner/missing: no such repository" in str(missing)
    assert f"hf://owner/name@{COMMIT}: the repository has no such revision" in str(unknown)

    server.asked.clear()
    pinned = [["load", f"hf://owner/name@{commit}", image], ["load", "hf://owner/other", image]]
    offline, _ = session(pinned, tmp_path, server.address, HF_HUB_OFFLINE="1")
    assert offline[0] == expected
    assert offline[1] == (
        "hf://owner/other: is not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once without"
    )
    assert server.asked == []


def test_what_the_hub_changed_is_refused_by_our_checksums(tiny_run: Path, tmp_path: Path, server: Hub) -> None:
    bundle, image = str(tiny_run / "bundle"), str(sorted((tiny_run / "data/phantom/images").iterdir())[0])
    lines = [["bundle", bundle, "--push", "hf://owner/name"], ["bundle", bundle, "--push", "hf://owner/name@a"]]
    (refused, _), _ = session(lines, tmp_path, server.address)
    assert refused == 2
    assert server.repositories == {}
    session(lines[:1], tmp_path, server.address, HF_TOKEN=TOKEN)
    repository = server.repositories["owner/name"]
    files = repository.commits[repository.branches["main"]]
    files["config.json"] += b" "
    (found,), _ = session([["load", "hf://owner/name", image]], tmp_path, server.address)
    assert "config.json: was changed after the bundle was made" in str(found)
