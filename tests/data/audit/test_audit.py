"""A whole catalog: labels, duplicates, the summary, and what `fix` leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.data.audit import KINDS, Audit, Severity, audit, fix
from selcn.data.audit.findings import Mend
from selcn.data.audit.labels import duplicate_findings, label_findings
from selcn.data.catalog import complete_catalog
from selcn.data.duplicates import Duplicate
from selcn.data.imaging.read import write_image
from selcn.errors import DataError


def rows(*given: dict[str, str]) -> pd.DataFrame:
    return complete_catalog(pd.DataFrame([{"image_path": "x.png", **row} for row in given]), "catalog")


def test_images_of_one_lesion_must_agree() -> None:
    table = rows(
        {"image_id": "a", "lesion_id": "L", "diagnosis": "nv", "symmetry": "one-axis"},
        {"image_id": "b", "lesion_id": "L", "diagnosis": "mel", "symmetry": "asymmetric"},
        {"image_id": "c", "lesion_id": "L"},
        {"image_id": "d", "lesion_id": "M", "diagnosis": "nv", "patient_id": "P"},
        {"image_id": "e", "lesion_id": "M", "diagnosis": "nv", "patient_id": "Q"},
        {"image_id": "f", "diagnosis": "df"},
    )
    assert [(one.kind, "".join(one.image_ids), one.detail) for one in label_findings(table)] == [
        ("label-conflict", "abc", "lesion L: mel and nv"),
        ("patient-conflict", "de", "lesion M: P and Q"),
        ("symmetry-conflict", "abc", "lesion L: asymmetric and one-axis"),
        ("no-diagnosis", "c", ""),
    ]


def test_duplicates_are_judged_by_their_labels() -> None:
    table = rows(
        {"image_id": "a", "lesion_id": "L", "diagnosis": "nv"},
        {"image_id": "b", "lesion_id": "M", "diagnosis": "mel"},
        {"image_id": "c", "lesion_id": "L"},
        {"image_id": "d"},
        {"image_id": "e"},
    )
    pairs = [
        Duplicate("a", "b", False, 0.97, "mirrored"),
        Duplicate("a", "c", True, 1, "as it is"),
        Duplicate("b", "c", True, 1, "as it is"),
        Duplicate("d", "e", False, 0.95, "as it is"),
    ]
    assert [(one.kind, "".join(one.image_ids)) for one in duplicate_findings(table, pairs)] == [
        ("duplicate-conflict", "ab"),
        ("duplicate-inside", "ac"),
        ("duplicate-exact", "bc"),
        ("duplicate-near", "de"),
    ]


@pytest.fixture
def faulty(tmp_path: Path) -> pd.DataFrame:
    """Images 0 to 3 are sound, 4 broken, 5 black, 6 and 7 one lesion of two diagnoses, 8 copies 0, 9 mirrors 1."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(30, 220, (10, 6, 8, 3), dtype=np.uint8)
    pictures = [picture.repeat(10, axis=0).repeat(10, axis=1) for picture in coarse]
    pictures[5] = pictures[5] * 0
    pictures[8], pictures[9] = pictures[0], pictures[1][:, ::-1]
    given = []
    for n, picture in enumerate(pictures):
        write_image(tmp_path / f"{n}.png", np.ascontiguousarray(picture))
        mask = np.zeros((60, 80), np.uint8)
        mask[20:40, 20:60] = 255
        write_image(tmp_path / f"{n}-mask.png", mask if n != 2 else mask * 0)
        lesion = {7: "L6"}.get(n, f"L{n}")
        diagnosis = "mel" if n == 7 else "nv"
        paths = {"image_path": str(tmp_path / f"{n}.png"), "mask_path": str(tmp_path / f"{n}-mask.png")}
        given.append({"image_id": str(n), **paths, "lesion_id": lesion, "diagnosis": diagnosis})
    (tmp_path / "4.png").write_bytes(b"broken")
    return complete_catalog(pd.DataFrame(given), "catalog")


def test_one_pass_finds_everything_and_fix_leaves_a_sound_catalog(faulty: pd.DataFrame) -> None:
    seen: list[int] = []
    found = audit(faulty, jobs=2, on_progress=lambda done, _: seen.append(done))
    assert seen == list(range(1, 11))
    assert [(one.kind, "-".join(one.image_ids)) for one in found.findings] == [
        ("unreadable", "4"),
        ("blank", "5"),
        ("mask-empty", "2"),
        ("label-conflict", "6-7"),
        ("duplicate-exact", "0-8"),
        ("duplicate-near", "1-9"),
    ]
    assert found.blocking
    clean, dropped = fix(faulty, found)
    assert clean["image_id"].tolist() == ["0", "1", "2", "3", "9"]
    assert clean.loc[clean["mask_path"] == "", "image_id"].tolist() == ["2"]
    assert dropped.set_index("image_id")["action"].to_dict() == {
        **dict.fromkeys(["4", "5", "6", "7"], Mend.ROW),
        "2": Mend.MASK,
        "8": Mend.LATER_ROWS,
    }
    again = audit(clean)
    assert not again.blocking
    assert {one.kind for one in again.findings} == {"duplicate-near", "no-mask"}
    assert fix(clean, again)[1].empty


def test_the_summary_and_the_json_say_the_same(faulty: pd.DataFrame) -> None:
    found = audit(faulty, {"s": {"0": frozenset({"test"}), "8": frozenset({"1"})}})
    summary = found.summary().set_index("kind")
    assert list(summary.loc["label-conflict", ["severity", "findings", "images"]]) == ["error", 1, 2]
    assert summary["severity"].tolist() == sorted(summary["severity"], key=list(Severity).index)
    tree = json.loads(found.to_json())
    assert (tree["images"], tree["blocking"]) == (10, True)
    counts = pd.Series([one["kind"] for one in tree["findings"]]).value_counts()
    assert counts.to_dict() == summary["findings"].to_dict()
    assert counts["leak-test"] == 1, "images 0 and 8 are one picture"


def test_a_catalog_of_nothing_but_faults_is_not_written(faulty: pd.DataFrame) -> None:
    broken = faulty.iloc[[4, 5]].reset_index(drop=True)
    with pytest.raises(DataError, match="every image is blocked"):
        fix(broken, audit(broken))


def test_every_error_but_a_leak_is_mended() -> None:
    unmended = {name for name, kind in KINDS.items() if kind.severity is Severity.ERROR and not kind.mend}
    assert unmended == {"leak-test", "leak-fold", "leak-stage"}
    assert not any(kind.mend for kind in KINDS.values() if kind.severity is not Severity.ERROR)


def test_a_clean_phantom_has_no_finding_that_blocks(phantom: pd.DataFrame) -> None:
    found = audit(phantom)
    assert not found.blocking
    assert isinstance(found, Audit)
    assert {one.kind for one in found.findings} <= {"duplicate-inside", "symmetry-conflict"}
