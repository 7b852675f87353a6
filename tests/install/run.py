"""The wheel in empty environments: the base install and each extra, each doing what it is for.

    make installs        # needs uv and a package registry; some minutes

Writes docs/results/installs.json, from which the table of docs/installing.md is made. Versions are those of
constraints.txt, as `make setup` installs them. The run that `selcn[train]` makes is what the other extras work on.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "results" / "installs.json"
UV = Path(sys.executable).with_name("uv")
TINY = ["data.images=96", "lesion.epochs=1", "symmetry.epochs=1", "diagnosis.epochs=1", "resamples=100", "compare={}"]
TINY = [part for setting in TINY for part in ("--set", setting)]
BUNDLE = "run/bundle"
SAMPLE = ROOT / "src" / "selcn" / "data" / "samples" / "ISIC_0000166.jpg"
DEEDS = Path(__file__).with_name("extras.py")
SMALL = ("annotations", "dicom", "download", "hdf5", "heic", "hub", "postgres", "storage", "xlsx")
"""Extras whose use is shown by `extras.py`."""
IMAGES = "run/data/phantom/images/PH_0000001.png"
READY = (
    "import subprocess, time, urllib.request as u; "
    f"p = subprocess.Popen(['selcn', 'serve', '{BUNDLE}', '--engine', 'onnx', '--port', '8765'])\n"
    "for _ in range(300):\n"
    "    time.sleep(0.2)\n"
    "    try: print(u.urlopen('http://127.0.0.1:8765/healthz').read()); break\n"
    "    except OSError: assert p.poll() is None\n"
    "p.terminate(); p.wait()"
)
PREDICT = ["selcn", "predict", BUNDLE, IMAGES]

# What an environment does, one command a line; the first ones make what the later ones need.
DOES: dict[str, list[list[str]]] = {
    "train": [["selcn", "run", "demo", "--out", "run", *TINY]],
    "export": [["selcn", "export", BUNDLE], ["selcn", "export", "--out", "ham10000"]],
    "": [
        ["selcn", "phantom", "phantom", "--images", "24", "--size", "64x48", "--jobs", "1"],
        ["selcn", "split", "run/data/catalog.csv", "--folds", "2", "--out", "split.json"],
        ["selcn", "audit", "run/data/catalog.csv"],
        ["selcn", "evaluate", "run/predictions/diagnosis.csv", "--resamples", "50"],
        [*PREDICT, "--engine", "onnx", "--out", "base"],
        ["selcn", "predict", "ham10000", str(SAMPLE), "--engine", "onnx", "--out", "sample"],
    ],
    "torch": [[*PREDICT, "--out", "torch"], ["selcn", "predict", str(SAMPLE), "--out", "shipped"]],
    "serve": [["python", "-c", READY]],
    "parquet": [[*PREDICT, "--engine", "onnx", "--table", "parquet", "--out", "parquet"]],
    **{extra: [["python", str(DEEDS), extra]] for extra in SMALL},
    "train,wandb": [["selcn", "train", "lesion", "--config", "demo", "--out", "tracked", "--track", "wandb", *TINY]],
    "train,mlflow": [["selcn", "train", "lesion", "--config", "demo", "--out", "logged", "--track", "mlflow", *TINY]],
}
# What the base install refuses in one line, and the extra that the line names.
REFUSED = {
    "train": ["selcn", "run", "demo", "--out", "refused"],
    "torch": [*PREDICT, "--out", "refused"],
    "export": ["selcn", "export", BUNDLE],
    "serve": ["selcn", "serve", BUNDLE],
    "parquet": [*PREDICT, "--engine", "onnx", "--table", "parquet", "--out", "base"],
}


def call(command: list[str], *, home: Path, tools: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command with an empty home and nothing of this process' Python."""
    environment = {"HOME": str(home), "PATH": f"{tools}:/usr/bin:/bin", "OMP_NUM_THREADS": "1", **settings}
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def install(what: str, where: Path) -> dict[str, object]:
    """An environment with this requirement alone, and what it costs."""
    began = time.perf_counter()
    python = where / "bin" / "python"
    for command in (
        ["venv", "--quiet", str(where), "--python", sys.executable],
        ["pip", "install", "--quiet", "--python", str(python), "--constraints", str(ROOT / "constraints.txt"), what],
    ):
        subprocess.run([str(UV), *command], check=True)
    (packages,) = (where / "lib").glob("python*/site-packages")
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    count = len(list(packages.glob("*.dist-info")))
    return {"packages": count, "mib": round(size / 2**20), "seconds": round(time.perf_counter() - began)}


def relative_links(page: str) -> list[str]:
    """What a page of Markdown links to or shows without a whole address, anchors of its own left out."""
    found = re.findall(r"\]\(([^)]*)\)|\b(?:src|srcset|href)=\"([^\"]*)\"", page)
    return [link for link in map("".join, found) if not link.startswith(("https://", "http://", "#"))]


def described(wheel: Path) -> None:
    """Check that the wheel's description, which a package index shows, has no relative link."""
    with ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        page = opened.read(name).decode()
    links = relative_links(page)
    if links or "docs/installing.md" not in page:
        sys.exit(f"{wheel.name}: its description links to {links}")


def refuse(home: Path, tools: Path) -> None:
    """Check that each command that lacks its extra says so in one line."""
    for extra, command in REFUSED.items():
        done = call(command, home=home, tools=tools)
        lines = done.stderr.strip().splitlines()
        if done.returncode != 2 or len(lines) != 1 or f"selcn[{extra}]" not in lines[0]:
            sys.exit(f"{' '.join(command)}: ended with {done.returncode} and {done.stderr[-2000:]}")


def table(installs: dict[str, dict[str, object]]) -> str:
    """The Markdown table of what each environment cost."""
    rows = [
        f"| {f'`selcn[{extra}]`' if extra else '`selcn`'} | {one['packages']} | {one['mib']:,} | {one['seconds']} |"
        for extra, one in sorted(installs.items())
    ]
    return "\n".join(["| installed | packages | MiB | seconds |", "|---|---:|---:|---:|", *rows]) + "\n"


def main() -> None:
    """Build, install everywhere, and write what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        home = work / "home"
        home.mkdir()
        subprocess.run([str(UV), "build", "--quiet", "--out-dir", str(work / "dist"), str(ROOT)], check=True)
        (wheel,), (sdist,) = (work / "dist").glob("*.whl"), (work / "dist").glob("*.tar.gz")
        described(wheel)
        found = {}
        for number, (extra, commands) in enumerate(DOES.items()):
            where = work / f"env{number}"
            found[extra] = install(f"{wheel}[{extra}]" if extra else str(wheel), where)
            for command in commands:
                done = call(command, home=home, tools=where / "bin")
                if done.returncode:
                    sys.exit(f"selcn[{extra}]: {' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
            if not extra:
                refuse(home, where / "bin")
            print(extra or "base", found[extra], flush=True)  # noqa: T201
        install(str(sdist), work / "sdist")
        apart = {"UV_TOOL_DIR": str(work / "tools"), "UV_TOOL_BIN_DIR": str(work / "bin")}
        subprocess.run([str(UV), "tool", "install", "--quiet", str(wheel)], env={**os.environ, **apart}, check=True)
        for place in ("sdist/bin", "bin"):
            shown = call([str(work / place / "selcn"), "--version"], home=home, tools=work / place)
            if wheel.name.split("-")[1] not in shown.stdout:
                sys.exit(f"{place}: {shown.stdout}{shown.stderr}")
    python = ".".join(map(str, sys.version_info[:2]))
    RESULT.write_text(json.dumps({"python": python, "installs": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
