"""On real dermoscopy, where it is at hand beside the repository."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import selcn
from selcn.data.protocols import grouped_split, thesis_split
from selcn.data.sources import draw_lesions, find_pictures, index_ham10000
from selcn.data.splits import count_table, leaking_images
from selcn.evaluation.predictions import TEST
from selcn.labels import Diagnosis

SHARED = Path(__file__).parent.parent.parent / "shared"
HAM10000, ORIGINALS = SHARED / "data" / "ham10000", SHARED / "data" / "originals"
SYMDERM = SHARED / "data" / "symderm_v2" / "SymDerm_v2_labels.csv"

needs_ham10000 = pytest.mark.skipif(not HAM10000.is_dir(), reason=f"HAM10000 is not at {HAM10000}")
needs_originals = pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no original pictures at {ORIGINALS}")


@needs_ham10000
def test_ham10000_is_indexed_and_split_with_every_lesion_whole() -> None:
    table = index_ham10000([HAM10000], symmetry=SYMDERM)
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
    counts = count_table(split, table)[Diagnosis.names()]
    shares = counts.div(counts.sum(axis=1), axis=0)
    assert (shares.max() / shares.min() < 1.1).all()


@needs_ham10000
def test_the_thesis_protocol_gives_its_parts_and_its_leak() -> None:
    table = index_ham10000([HAM10000])
    split = thesis_split(table)
    counts = count_table(split, table)["images"]
    assert (counts.drop(TEST).sum(), counts[TEST]) == (8_012, 2_003)
    # The original's author removed four of the test images; 788 of the other 1,999 leak.
    assert 788 <= leaking_images(split, table)[TEST] <= 788 + 4


@needs_ham10000
def test_a_small_study_keeps_rare_lesions_and_their_photographs() -> None:
    table = index_ham10000([HAM10000], symmetry=SYMDERM)
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
        assert prediction.mask.shape == stored.shape[:2]
        assert np.isfinite(prediction.symmetry_saliency).all()
