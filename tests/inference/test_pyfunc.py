import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import selcn

PAGE = Path(__file__).parents[2] / "docs" / "prediction.md"


@pytest.mark.filterwarnings("ignore")  # of MLflow
def test_a_bundle_is_a_model_of_mlflow(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    pictures = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[:2]
    (block,) = re.findall(r"## In MLflow\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"picture": pictures[0]}
    exec(block, names)
    expected = selcn.load("runs/demo/bundle").predict(pictures[0])
    (row,) = names["rows"].to_dict("records")
    found = [row[f"diagnosis_{name}"] for name in expected["diagnosis"].probabilities]
    assert found == pytest.approx(list(expected["diagnosis"].probabilities.values()), abs=1e-6)
    assert not list(Path("model").rglob("*.pkl"))
    images = pd.DataFrame({"image": [b"no image", pictures[1].read_bytes()]})
    broken, whole = names["model"].predict(images).to_dict("records")
    assert broken["image"] == "0"
    assert "not an image" in broken["error"] or broken["error"]
    assert whole["width"] == expected.size[0]
