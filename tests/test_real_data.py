"""On real dermoscopy, where it is at hand beside the repository."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import selcn
from selcn.data.catalog import draw_lesions
from selcn.data.discovery import find_pictures
from selcn.data.sources import index_ham10000, index_ph2, join_symmetry, merge_catalogs
from selcn.data.splits.protocols import grouped_split, thesis_split
from selcn.data.splits.split import count_table, leaking_images
from selcn.labels import LABEL_SETS, TEST

SHARED = Path(__file__).parent.parent.parent / "shared"
HAM10000, PH2, ORIGINALS = (SHARED / "data" / name for name in ("ham10000", "ph2", "originals"))
SYMDERM = SHARED / "data" / "symderm_v2" / "SymDerm_v2_labels.csv"

needs_ham10000 = pytest.mark.skipif(not HAM10000.is_dir(), reason=f"HAM10000 is not at {HAM10000}")
needs_originals = pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no original pictures at {ORIGINALS}")


@needs_ham10000
def test_ham10000_is_indexed_and_split_with_every_lesion_whole() -> None:
    table = index_ham10000([HAM10000], symmetry=SYMDERM).table
    assert (len(table), table["lesion_id"].nunique(), (table["mask_path"] != "").sum()) == (10_015, 7_470, 10_015)
    assert table["symmetry"].value_counts().to_dict() == {
        "": 8_015,
        "asymmetric": 936,
        "two-axes": 559,
        "one-axis": 505,
    }
    split = grouped_split(table, folds=4)
    parts = table.assign(part=table["image_id"].map(split.part)).groupby("lesion_id")["part"].nunique()
    assert (parts == 1).all()
    counts = count_table(split, table)[LABEL_SETS["ham10000"].names]
    shares = counts.div(counts.sum(axis=1), axis=0)
    assert (shares.max() / shares.min() < 1.1).all()


@needs_ham10000
def test_symderm_joins_ham10000_and_ph2_without_a_contradiction() -> None:
    ham10000, ph2 = index_ham10000([HAM10000]), index_ph2([PH2])
    assert (len(ph2.table), (ph2.table["mask_path"] != "").sum()) == (200, 200)
    assert ph2.table["diagnosis"].value_counts().to_dict() == {"common-nevus": 80, "atypical-nevus": 80, "mel": 40}
    merged = merge_catalogs([("ham10000", ham10000.table), ("ph2", ph2.table)])
    # PH2's own asymmetry, turned into SymDerm's direction, agrees with SymDerm's labels of all its images.
    joined = join_symmetry(merged.table, [SYMDERM])
    assert (len(joined.table), (joined.table["symmetry"] != "").sum()) == (10_215, 2_200)
    assert sum(joined.notes.values()) == 2_655 - 2_200


@needs_ham10000
def test_the_thesis_protocol_gives_its_parts_and_its_leak() -> None:
    table = index_ham10000([HAM10000]).table
    split = thesis_split(table)
    counts = count_table(split, table)["images"]
    assert (counts.drop(TEST).sum(), counts[TEST]) == (8_012, 2_003)
    # The original's author removed four of the test images; 788 of the other 1,999 leak.
    assert 788 <= leaking_images(split, table)[TEST] <= 788 + 4


@needs_ham10000
def test_a_small_study_keeps_rare_lesions_and_their_photographs() -> None:
    table = index_ham10000([HAM10000], symmetry=SYMDERM).table
    drawn = draw_lesions(table, 1000, seed=42)
    assert drawn["lesion_id"].nunique() == 1000
    rare = table["diagnosis"].isin(["df", "vasc"])
    assert set(table[rare]["image_id"]) <= set(drawn["image_id"])
    photographs = table.groupby("lesion_id").size()
    assert (drawn.groupby("lesion_id").size() == photographs[drawn["lesion_id"].unique()].sort_index()).all()


@needs_originals
def test_files_as_published_are_predicted_at_their_own_size(tiny_run: Path) -> None:
    predictor = selcn.load(tiny_run / "bundle")
    pictures = find_pictures([ORIGINALS])
    assert len(pictures) == 35
    for path in pictures:
        stored = cv2.imread(str(path))
        assert stored is not None
        prediction = predictor.predict(path)
        assert prediction.lesion is not None
        assert prediction.lesion.mask.shape == stored.shape[:2]
        assert np.isfinite(prediction["symmetry"].saliency).all()
