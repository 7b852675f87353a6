"""Configuration of the documentation site, see `make docs`; the pages of the reference are written from the code."""

import re
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from pkgutil import walk_packages

from sphinx.application import Sphinx
from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

import selcn
from selcn.cli import app as commands

HERE = Path(__file__).parent
GENERATED = HERE / "generated"
ROOT_PAGES = {
    name: f"generated/{name.partition('.')[0].lower()}"
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "SECURITY.md",
        "LICENSE",
        "bundles/README.md",
        "bundles/ham10000/README.md",
    )
}

project = "selcn"
author = "the selcn authors"
release = version_of("selcn")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "results", "data/page.md", "generated/readme.md"]  # the last is the start page
html_theme = "furo"
html_title = f"selcn {release}"
html_show_sphinx = False
html_static_path = ["images"]
default_role = "code"
smartquotes = False
linkcheck_anchors = False  # of pages that scripts fill
linkcheck_ignore = [r"https?://(?:127\.0\.0\.1|localhost)\b"]
linkcheck_timeout = 30
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True

_ARRAY = re.compile(r"ndarray\[tuple\[[^\]]*\], (?:numpy\.)?dtype\[([^\]]*)\]\]")
_FENCE = re.compile(r"^```\w*$")


def write_reference(_: Sphinx) -> None:
    """Write a page a package with its modules' public names, and one of all commands."""
    found = sorted(walk_packages(selcn.__path__, "selcn."), key=lambda module: module.name)
    pages: dict[str, list[str]] = {}
    for module in found:
        import_module(module.name)  # before autodoc, which sets TYPE_CHECKING and so breaks FastAPI's own imports
        members = [] if module.ispkg else ["   :members:"]
        heading = [] if module.name.count(".") == 1 else [module.name, "-" * len(module.name), ""]
        entry = [*heading, f".. automodule:: {module.name}", *members, "", ""]
        pages.setdefault(module.name.split(".")[1], []).append("\n".join(entry))
    for name, entries in pages.items():
        title = f"selcn.{name}"
        _write(GENERATED / "python" / f"{name}.rst", f"{title}\n{'=' * len(title)}\n\n" + "".join(entries))
    command = get_command(commands)
    context = Context(command, info_name="selcn")
    text = get_docs_for_click(obj=command, ctx=context, name="selcn", title="Commands")
    _write(GENERATED / "commands.md", text)


def write_root_pages(_: Sphinx) -> None:
    """Write a copy of each page that is not in this folder, with links to the pages of this site."""
    for name in ROOT_PAGES:
        text = (
            (HERE.parent / name)
            .read_text(encoding="utf-8")
            .replace("](docs/", "](/")
            .replace("](../docs/", "](/")
            .replace("](../../docs/", "](/")
            .replace('"docs/images/', '"_static/')
        )
        for other, page in ROOT_PAGES.items():
            text = text.replace(f"]({other})", f"](/{page}.md)")
        _write(HERE / f"{ROOT_PAGES[name]}.md", text if name.endswith(".md") else f"# {name}\n\n```\n{text}```\n")


def fences_to_literals(_: Sphinx, __: str, ___: str, ____: object, _____: object, lines: list[str]) -> None:
    """Turn fenced blocks of docstrings into literal blocks of reStructuredText."""
    inside, turned = False, []
    for line in lines:
        if _FENCE.match(line):
            inside = not inside
            turned += ["::", ""] if inside else [""]
        else:
            turned.append(f"   {line}" if inside else line)
    lines[:] = turned


def shorten_arrays(
    _: Sphinx, __: str, ___: str, ____: object, _____: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Return a signature whose arrays are written with their type alone."""
    shown = [text and _ARRAY.sub(r"ndarray[\1]", text) for text in (signature, returned)]
    return shown[0], shown[1]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Write the generated pages before pages are read."""
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", write_root_pages)
    app.connect("autodoc-process-signature", shorten_arrays)
    app.connect("autodoc-process-docstring", fences_to_literals)
