"""What strangers install, and the workflows that check and publish it."""

import json
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from selcn.cli.train import TRAINING
from selcn.errors import TORCH

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = ROOT / ".github" / "workflows"
RELEASED = re.findall(r"^## (\d+\.\d+\.\d+) ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
INSTALL = runpy.run_path(str(ROOT / "tests" / "install" / "run.py"))
NOT_IN_DEV = {"postgres": ("psycopg",), "storage": ("gcsfs",)}
IN_CONDA = {"matplotlib": "matplotlib-base", "opencv-python-headless": "py-opencv", "torch": "pytorch"}


def required(lines: list[str]) -> dict[str, str]:
    """Version of each requirement by its name in conda; extras of selcn itself left out."""
    found = [Requirement(line) for line in lines]
    return {IN_CONDA.get(one.name, one.name): str(one.specifier) for one in found if one.name != "selcn"}


def test_the_version_is_that_of_the_newest_section_of_the_changelog() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    fallback = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
    assert {fallback, recipe["context"]["version"], cited["version"]} == {RELEASED[0]}
    assert PROJECT["project"]["license"].startswith(cited["license"])  # of the code; that of the weights follows


def test_the_conda_recipe_requires_what_the_wheel_requires() -> None:
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))["requirements"]
    written = {line.split()[0]: line.split()[1] for part in ("run", "run_constraints") for line in recipe[part]}
    assert written.pop("python") == PROJECT["project"]["requires-python"]
    extras = PROJECT["project"]["optional-dependencies"]
    assert written == required([*PROJECT["project"]["dependencies"], *extras["torch"], *extras["train"]])


def test_the_modules_of_an_extra_are_what_it_installs() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {name.replace("-", "_") for name in required(extras["torch"])} == {*TORCH - {"torch"}, "pytorch"}
    assert set(TRAINING[2:]) == set(required(extras["train"]))
    assert TRAINING[:2] == ("train", "torch")


def test_what_the_package_index_shows_of_the_readme_has_no_relative_link() -> None:
    hook, page = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"], ""
    for fragment in hook["fragments"]:
        page += (ROOT / fragment["path"]).read_text(encoding="utf-8")
    check = INSTALL["relative_links"]
    assert {"docs/installing.md", "docs/images/prediction.jpg", "docs/images/method-dark.svg"} <= set(check(page))
    for one in hook["substitutions"]:
        page = re.sub(one["pattern"], one["replacement"], page)
    assert check(page) == []
    source = PROJECT["project"]["urls"]["Source"]
    assert f"]({source}/blob/main/docs/installing.md)" in page
    raw = source.replace("github.com", "raw.githubusercontent.com")
    assert f'src="{raw}/main/docs/images/method-light.svg"' in page
    addresses = re.findall(rf"(?:{re.escape(source)}/blob|{re.escape(raw)})/main/([^)#\" ]+)", page)
    assert len(addresses) > 30
    assert all((ROOT / name).is_file() for name in addresses)


def test_no_workflow_has_a_known_weakness() -> None:
    zizmor = shutil.which("zizmor") or str(Path(sys.executable).with_name("zizmor"))
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--format=plain", str(WORKFLOWS)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", RELEASED)
def test_a_release_has_notes(version: str, tmp_path: Path) -> None:
    release = yaml.safe_load((WORKFLOWS / "release.yml").read_text(encoding="utf-8"))
    (step,) = [step for step in release["jobs"]["build"]["steps"] if step.get("name") == "Notes of this version"]
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    script = ["bash", "-euo", "pipefail", "-c", step["run"]]

    def made_for(tag: str) -> bool:
        given = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        return subprocess.run(script, cwd=tmp_path, env=given, check=False).returncode == 0

    assert made_for(f"v{version}")
    section = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition(f"## {version} ")[2].partition("\n")[2]
    expected = re.split(r"^## .*$", section, flags=re.MULTILINE)[0]
    assert (tmp_path / "notes.md").read_text(encoding="utf-8").strip() == expected.strip()
    assert not made_for("v99.0.0")


def test_what_a_change_has_to_pass_is_run_by_a_workflow_or_before_it_lands() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    lines = [step.get("run", "") for job in jobs for step in job["steps"]]
    lines += (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    listed = re.findall(r"^make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in listed if f"make {name}" not in lines} == {"setup", "links"}
    assert any("coverage report --format=total" in line and "GITHUB_STEP_SUMMARY" in line for line in lines)


def test_the_tests_run_on_every_system_and_python() -> None:
    matrix = yaml.safe_load((WORKFLOWS / "ci.yml").read_text(encoding="utf-8"))["jobs"]["tests"]["strategy"]["matrix"]
    supported = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: 3." in line]
    assert matrix["python"] == supported
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize("extra", INSTALL["SMALL"])
def test_an_extra_does_what_it_is_for(extra: str, tmp_path: Path) -> None:
    assert set(runpy.run_path(str(INSTALL["DEEDS"]))["DEEDS"]) == set(INSTALL["SMALL"])
    if any(find_spec(module) is None for module in NOT_IN_DEV.get(extra, ())):
        pytest.skip(f"selcn[{extra}] is not part of selcn[dev]; `make installs` does this")
    subprocess.run([sys.executable, str(INSTALL["DEEDS"]), extra], cwd=tmp_path, check=True, capture_output=True)


def test_the_page_shows_what_the_installs_cost() -> None:
    measured = json.loads((ROOT / "docs" / "results" / "installs.json").read_text(encoding="utf-8"))
    assert set(measured["installs"]) == set(INSTALL["DOES"])
    assert INSTALL["table"](measured["installs"]) in (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    extras = {name for key in INSTALL["DOES"] for name in key.split(",") if name}
    assert extras == set(PROJECT["project"]["optional-dependencies"]) - {"dev"}
