"""What the interface's own description allows, and what it does not, sent at random."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from selcn.inference.predictor import Predictor

# Bytes drawn at random are no picture, however well the description allows them.
EXCLUDED = "positive_data_acceptance"
# The program cannot write multipart/related.
LEFT_OUT = "^/dicomweb"


def test_no_request_makes_the_server_fail_or_answer_otherwise_than_described(
    serve: Callable[..., AbstractContextManager[str]], predictor: Predictor, tmp_path: Path
) -> None:
    program = shutil.which("schemathesis", path=Path(sys.executable).parent)
    assert program
    with serve(predictor) as address:
        asked = [program, "run", f"{address}/openapi.json", "--max-examples=40", f"--exclude-checks={EXCLUDED}"]
        asked += [f"--exclude-path-regex={LEFT_OUT}", "--seed=1", "--no-color"]
        done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b(\d+) generated, \1 passed", done.stdout), done.stdout
