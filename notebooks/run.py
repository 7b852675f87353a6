"""Execute the notebooks and store them with outputs: NAME.py is the source, NAME.ipynb what Jupyter and Colab open.

    make notebooks                                  # all of them
    python notebooks/run.py cascade own_data        # some

Outputs name no path of the machine that they were made on: links to temporary folders are left out.
"""

import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NAMES = ("cascade", "own_data", "does_saliency_help", "calibrated_answers", "linear_probe")
MINUTES = 5
"""That a notebook may take on a CPU."""
_LOCAL = re.compile(r"/(?:tmp|home|root|work|private|var)/[^\s\"'<]*")


def source(name: str) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs.

    Args:
        name: of ``NAMES``.
    """
    made = jupytext.read(HERE / f"{name}.py")
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
    made.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return made


def execute(name: str, *, minutes: float | None = None) -> nbformat.NotebookNode:
    """The notebook of a source with its outputs.

    Args:
        name: of ``NAMES``.
        minutes: that each of its cells may take; None for no limit.
    """
    notebook = source(name)
    NotebookClient(notebook, timeout=None if minutes is None else int(60 * minutes)).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        # Progress and warnings of libraries are of this machine.
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = _LOCAL.sub("…", output.text)
            elif "text/plain" in output.get("data", {}):
                if "image/png" in output.data:
                    output.data.pop("image/jpeg", None)  # Pillow gives the same picture twice
                output.data["text/plain"] = _LOCAL.sub("…", output.data["text/plain"])
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        nbformat.write(execute(name), HERE / f"{name}.ipynb")
        sys.stdout.write(f"notebooks/{name}.ipynb\n")
        sys.stdout.flush()
