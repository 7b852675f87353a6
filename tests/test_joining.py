"""What a newcomer relies on: hooks equal to `make check`, forms that can be read, links that lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs" / "adr").glob("*.md")]


def test_the_hooks_are_the_checks_of_make_check() -> None:
    target = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    made = re.findall(r"^\t(.+)$", target, re.MULTILINE)
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repo["repo"] == "local"
    assert [hook["entry"] for hook in repo["hooks"]] == [line.replace("$(BIN)", ".venv/bin") for line in made]


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_a_form_asks_each_question_once(name: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
    asked = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert {"name", "description", "body"} <= form.keys()
    assert len(asked) == len(set(asked)) > 0


def test_links_lead_somewhere_and_records_are_listed() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    listed = re.findall(r"\]\((0[^)]+)\)", (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8"))
    assert listed == [record.name for record in records]
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        for code in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)", text):
            assert (ROOT / "src" / "selcn" / code).exists(), f"{record.name} names {code}"
