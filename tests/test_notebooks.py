"""The notebooks are their sources, and what is stored of them was executed without error."""

import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
SCRIPT = runpy.run_path(str(FOLDER / "run.py"))


@pytest.mark.parametrize("name", SCRIPT["NAMES"])
def test_a_notebook_installs_what_it_needs_and_compiles(name: str) -> None:
    first, *others = [cell.source for cell in SCRIPT["source"](name).cells if cell.cell_type == "code"]
    assert first.splitlines()[1] == "%matplotlib inline"
    assert '"pip", "install", "--quiet", "selcn[train]"' in first
    for number, code in enumerate(others):
        compile(code, f"{name}, cell {number}", "exec")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_stored_notebook_is_its_source_with_outputs(path: Path) -> None:
    stored: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    expected = SCRIPT["source"](path.stem).cells
    assert [(cell.cell_type, cell.source) for cell in stored.cells] == [
        (cell.cell_type, cell.source) for cell in expected
    ]
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not SCRIPT["_LOCAL"].search(path.read_text(encoding="utf-8"))
