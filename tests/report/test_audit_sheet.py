"""What a run's networks tell of its data is what its predictions and images hold, and the sheet shows it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.cli.audit import audit
from selcn.data.rephotographs import Pair
from selcn.errors import ConfigError
from selcn.evaluation import find_label_errors
from selcn.runs import auditing
from selcn.runs.auditing import audit_run
from selcn.runs.run import open_run


def test_tables_and_sheet_are_of_the_run(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = open_run(tiny_run), tmp_path / "audit"
    asked: list[tuple[int, int, float]] = []

    def verified(_image: object, candidates: list[tuple[int, int, float]], **_: object) -> list[Pair]:
        asked.extend(candidates)
        return [Pair(*candidates[0], 20, 1.25, 0.9, 0.97)]

    monkeypatch.setattr(auditing, "find_pairs", verified)
    audit(run=tiny_run, out=out)
    said = capsys.readouterr().out
    expected = find_label_errors(run.predictions("diagnosis"))
    labels = pd.read_csv(out / "labels.csv")
    assert labels["image_id"].tolist() == expected.table["image_id"].tolist()
    assert f"{len(labels)} of {expected.images} labels are confidently another" in said
    features = np.load(out / "features" / "features.npy")
    assert features.shape[:2] == (len(run.table), 2)
    lesions = run.table["lesion_id"].tolist()
    assert all(lesions[one] != lesions[other] for one, other, _ in asked)
    (pair,) = pd.read_csv(out / "pairs.csv").to_dict("records")
    first, second = (run.table["image_id"][row] for row in asked[0][:2])
    assert (pair["first"], pair["second"], pair["similarity"]) == (first, second, 0.97)
    assert pair["leaks"] == (run.split.part[first] != run.split.part[second])
    page = (out / "sheet.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/jpeg', page)) == min(len(labels), 60) + 2
    before = (out / "features" / "features.npy").stat().st_mtime_ns
    audit_run(run, out)
    assert (out / "features" / "features.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "lesion"}, "has no classifier lesion with a backbone; it has symmetry, diagnosis"),
        ({"json": True}, "audits the run's own catalog"),
        ({"run": None}, "give a catalog, or --run RUN"),
    ],
)
def test_a_mistake_is_refused(options: dict[str, Any], message: str, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        audit(**{"run": tiny_run, "out": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def test_a_run_of_masks_alone_has_no_features_to_compare(lesion_run: Path) -> None:
    with pytest.raises(ConfigError, match="has no classifier with a backbone, whose features could be compared"):
        audit(run=lesion_run)
