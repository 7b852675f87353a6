"""The Dockerfile's own steps, in a clean environment, end in a server without torch that writes to no disk."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import selcn
from selcn.inference.onnx.export import export_bundle

ROOT = Path(__file__).parent.parent
INSTALLED = "/opt/selcn"
PORT = "8000"

# All that is mounted becomes read-only but for one folder in memory, and the server has no privileges left.
READ_ONLY = """
mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs "$TMPDIR" && ! touch "$ROOT/written" &&
exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""


def dockerfile(word: str) -> list[str]:
    """What follows an instruction, wherever it is given."""
    return re.findall(rf"^{word} (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the COPY and RUN instructions of the first stage lead, on a base of this Python alone."""
    context = tmp_path_factory.mktemp("context")
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    first_stage = text.split("\nFROM ")[1]
    for word, rest in re.findall(r"^(COPY|RUN) (.*)$", first_stage, re.MULTILINE):
        *sources, target = shlex.split(rest.replace(INSTALLED, str(context / "installed")))
        if word == "RUN":
            given = {
                name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
            }
            command = [sys.executable if part == "python" else part for part in (*sources, target)]
            subprocess.run(command, cwd=context, env=given, check=True, capture_output=True)
        for source in sources if word == "COPY" else ():
            found = ROOT / source
            copy = shutil.copytree if found.is_dir() else shutil.copy
            copy(found, context / target / ("" if found.is_dir() else found.name))
    return context / "installed"


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was exported."""
    copied = Path(shutil.copytree(tiny_run / "bundle", tmp_path_factory.mktemp("exported") / "bundle"))
    export_bundle(copied)
    return copied


@pytest.fixture(scope="module")
def address(installed: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server as the ENTRYPOINT starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (entry,) = dockerfile("ENTRYPOINT")
    places = {f"{INSTALLED}/bin/selcn": str(installed / "bin" / "selcn"), "/bundle": str(bundle), PORT: port}
    command = [places.get(part, part) for part in re.findall(r'"([^"]+)"', entry)]
    scratch = str(tmp_path_factory.mktemp("scratch"))
    environment = {"HOME": scratch, "TMPDIR": scratch, "ROOT": str(bundle), "PATH": os.environ["PATH"]}
    locked = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]
    if subprocess.run([*locked, "true"], env=environment, capture_output=True).returncode:
        locked = []  # only who may mount can take the disk away
    with subprocess.Popen([*locked, *command], env=environment, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(3000):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_the_server_answers_as_python_does(address: str, bundle: Path, tiny_run: Path) -> None:
    picture = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    answer = httpx.post(f"{address}/v1/predict", files={"images": picture.read_bytes()}, timeout=60)
    (row,) = answer.raise_for_status().json()["predictions"]
    expected = selcn.load(bundle).predict(picture)
    assert row["diagnosis"]["probabilities"] == pytest.approx(expected["diagnosis"].probabilities, abs=1e-4)
    assert "selcn" in httpx.get(f"{address}/").text


def test_it_is_small_and_runs_as_nobody(installed: Path) -> None:
    packages = {path.name for path in (installed / "lib").glob("python*/site-packages/*")}
    assert "onnxruntime" in packages
    assert not packages & {"torch", "lightning", "nvidia", "triton"}
    assert list((installed / "lib").glob("python*/site-packages/selcn/bundles/*/manifest.json"))
    assert dockerfile("USER") == ["65534:65534"]
    (health,) = dockerfile("HEALTHCHECK")
    assert f":{PORT}/healthz" in health


@pytest.mark.parametrize(
    ("command", "extra"),
    [(["run", "demo"], "train"), (["predict", "{bundle}", "{picture}"], "torch"), (["export", "{bundle}"], "export")],
)
def test_without_pytorch_a_command_that_needs_it_says_so_in_one_line(
    command: list[str], extra: str, installed: Path, bundle: Path, tiny_run: Path, tmp_path: Path
) -> None:
    picture = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    words = [word.format(bundle=bundle, picture=picture) for word in command]
    apart = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(installed / "bin" / "selcn"), *words], cwd=tmp_path, env=apart, capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"`pip install 'selcn[{extra}]'`" in line
    assert not any(tmp_path.iterdir())


def test_the_shell_completes_commands(installed: Path, tmp_path: Path) -> None:
    asked = {"_SELCN_COMPLETE": "complete_bash", "COMP_WORDS": "selcn pre", "COMP_CWORD": "1"}
    done = subprocess.run(
        [str(installed / "bin" / "selcn")], env={"HOME": str(tmp_path), **asked}, capture_output=True, text=True
    )
    assert sorted(done.stdout.split()) == ["predict", "prepare"]
