from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, train_test_split

from selcn.config import SplitSection
from selcn.data.catalog import complete_catalog, groups
from selcn.data.imaging.read import write_image
from selcn.data.splits.protocols import external_split, grouped_split, make_split, thesis_split
from selcn.data.splits.split import EXCLUDED, count_table, leaking_images
from selcn.errors import DataError
from selcn.labels import CALIBRATION, LABEL_SETS, TEST, LabelSet, Protocol, main_group

MakeCatalog = Callable[..., pd.DataFrame]


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 5), st.sampled_from([0.0, 0.1, 0.2, 0.4]), st.integers(1, 4))
def test_no_lesion_is_divided_and_every_image_has_one_part(
    make_catalog: MakeCatalog, seed: int, folds: int, test: float, photographs: int
) -> None:
    table = make_catalog(photographs=photographs)
    split = grouped_split(table, folds=folds, test=test, seed=seed)
    parts = table["image_id"].map(split.part)
    assert parts.groupby(table["lesion_id"]).nunique().max() == 1
    assert sorted(set(parts)) == sorted(split.parts)
    rows = np.concatenate([split.rows(table, part) for part in split.parts])
    assert sorted(rows) == list(range(len(table)))


def test_parts_are_stratified_to_within_a_lesion(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=300, photographs=1)
    counts = count_table(grouped_split(table, folds=4, test=0.2, seed=1), table)
    assert counts["images"].to_dict() == {"0": 60, "1": 60, "2": 60, "3": 60, TEST: 60}
    assert (counts[["nv", "mel", "df"]] == 20).all(axis=None)
    assert (counts[["asymmetric", "one-axis"]] == 30).all(axis=None)
    counts = count_table(grouped_split(table, folds=3, test=0.2, calibration=0.2, seed=1), table)
    assert counts["images"].to_dict() == {"0": 60, "1": 60, "2": 60, CALIBRATION: 60, TEST: 60}
    assert (counts[["nv", "mel", "df"]] == 20).all(axis=None)


@pytest.mark.parametrize("seed", range(4))
def test_lesions_of_many_images_are_in_every_part_by_its_share(seed: int) -> None:
    """Parts of unequal size hold the same mixture of lesions with one image and with several, of frequent classes."""
    generator = np.random.default_rng(seed)
    shots = generator.choice([1, 2, 3, 6], p=[0.7, 0.15, 0.1, 0.05], size=2_000)
    names = np.repeat(generator.choice(["nv", "mel"], p=[0.8, 0.2], size=2_000), shots)
    lesions = np.repeat([f"lesion-{number}" for number in range(2_000)], shots)
    columns = {"lesion_id": lesions, "diagnosis": names, "image_path": "x.png"}
    table = complete_catalog(
        pd.DataFrame({"image_id": [f"i{number}" for number in range(len(names))], **columns}), "rows"
    )
    split = grouped_split(table, folds=5, test=0.2, calibration=0.05, seed=seed)
    found = pd.DataFrame(
        {"part": table["image_id"].map(split.part), "lesion": lesions, "shots": np.repeat(shots, shots)}
    )
    by_part = found.drop_duplicates("lesion").groupby("part")["shots"]
    assert by_part.mean().to_numpy() == pytest.approx(shots.mean(), rel=0.04)
    share = found["part"].value_counts(normalize=True)
    assert share[[CALIBRATION, TEST, "0"]].to_numpy() == pytest.approx([0.05, 0.2, 0.15], abs=0.003)
    many = by_part.apply(lambda each: (each > 1).mean())
    assert many.to_numpy() == pytest.approx((shots > 1).mean(), abs=0.04)


def test_the_same_seed_gives_the_same_split_whatever_the_row_order(make_catalog: MakeCatalog) -> None:
    table = make_catalog()
    first = grouped_split(table, seed=3)
    assert grouped_split(table.sample(frac=1, random_state=0).reset_index(drop=True), seed=3).part == first.part
    assert grouped_split(table, seed=4).part != first.part


def test_too_rare_a_class_names_itself_and_the_remedy(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=30)
    table.loc[table["diagnosis"] == "df", "diagnosis"] = ""
    table.loc[0, "diagnosis"] = "df"
    with pytest.raises(DataError, match="diagnosis df has 1 groups, too few for 4 parts"):
        grouped_split(table, folds=3)


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 4))
def test_a_class_with_as_many_lesions_as_parts_is_in_every_part(
    make_catalog: MakeCatalog, seed: int, folds: int
) -> None:
    table = make_catalog(lesions=90, photographs=3)
    rare = table["lesion_id"].isin([str(lesion) for lesion in range(folds + 1)])
    table.loc[rare, "diagnosis"] = "vasc"
    table.loc[~rare & (table["diagnosis"] == "vasc"), "diagnosis"] = "nv"
    counts = count_table(grouped_split(table, folds=folds, test=0.1, seed=seed), table)
    assert (counts["vasc"] > 0).all()


def test_duplicates_stay_in_one_part_whatever_their_lesions(make_catalog: MakeCatalog) -> None:
    table = make_catalog()
    free = grouped_split(table)
    pairs = [("0-0", image) for image, part in free.part.items() if part != free.part["0-0"]][:3]
    split = grouped_split(table, duplicates=pairs)
    assert len({split.part[image] for pair in pairs for image in pair}) == 1
    assert len({split.group[image] for pair in pairs for image in pair}) == 1


def test_the_thesis_protocol_is_scikit_learns_by_image(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=200, photographs=3)
    split = thesis_split(table, folds=4)
    training, test = train_test_split(table, test_size=0.2, random_state=42, stratify=table["diagnosis"])
    assert {image for image, part in split.part.items() if part == TEST} == set(test["image_id"])
    folds = StratifiedKFold(4, shuffle=True, random_state=42).split(training, training["diagnosis"])
    for fold, (_, held) in enumerate(folds):
        assert {i for i, part in split.part.items() if part == str(fold)} == set(training["image_id"].iloc[held])


def test_the_thesis_protocol_counts_what_leaks_and_resamples_lesions_within_a_part(make_catalog: MakeCatalog) -> None:
    table = make_catalog(lesions=200, photographs=3)
    split = thesis_split(table, folds=4)
    parts = table.assign(part=table["image_id"].map(split.part), group=table["image_id"].map(split.group))
    trained = set(parts.loc[parts["part"] != TEST, "lesion_id"])
    assert leaking_images(split, table)[TEST] == parts.loc[parts["part"] == TEST, "lesion_id"].isin(trained).sum() > 0
    assert parts.groupby("group")[["part", "lesion_id"]].nunique().max().tolist() == [1, 1]
    assert parts["group"].nunique() == parts.groupby(["lesion_id", "part"]).ngroups


def test_the_thesis_protocol_refuses_what_it_cannot_stratify(make_catalog: MakeCatalog) -> None:
    table = make_catalog()
    with pytest.raises(DataError, match="1 images have no diagnosis"):
        thesis_split(table.assign(diagnosis=["", *table["diagnosis"][1:]]))
    with pytest.raises(DataError, match="diagnosis vasc has 1 images, too few for 4 folds and a test part"):
        thesis_split(table.assign(diagnosis=["vasc", *table["diagnosis"][1:]]))
    with pytest.raises(DataError, match="has a test part; give its share"):
        thesis_split(table, test=0)


def two_sources(make_catalog: MakeCatalog) -> pd.DataFrame:
    return pd.concat(
        [make_catalog(source="ours"), make_catalog(20, classes=("nv", "mel"), source="theirs")], ignore_index=True
    )


def test_an_external_source_is_the_test_part_and_what_it_shares_is_excluded(make_catalog: MakeCatalog) -> None:
    table = two_sources(make_catalog)
    table.loc[table["image_id"] == "ours4-0", "patient_id"] = "P"
    table.loc[table["image_id"] == "theirs3-0", "patient_id"] = "P"
    split = external_split(table, ["theirs"], folds=2, duplicates=[("ours7-0", "theirs1-0")])
    part = table["image_id"].map(split.part)
    assert ((part == TEST) == (table["source"] == "theirs")).all()
    assert sorted(table["image_id"][part == EXCLUDED]) == ["ours4-0", "ours7-0", "ours7-1"]
    assert leaking_images(split, table) == {"0": 0, "1": 0, TEST: 0}
    assert (count_table(split, table).loc[["0", "1"], ["nv", "mel", "df"]] > 0).all(axis=None)
    assert count_table(split, table).loc[TEST, "df"] == 0, "an external source has the classes it has"


def test_an_external_source_must_be_there_and_leave_something(make_catalog: MakeCatalog) -> None:
    table = two_sources(make_catalog)
    with pytest.raises(DataError, match="source isic is not in the catalog; known there: ours, theirs"):
        external_split(table, ["theirs", "isic"])
    with pytest.raises(DataError, match="every image is of, or shares a group with, source ours, theirs"):
        external_split(table, ["ours", "theirs"])


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(2, 4), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=5))
def test_nothing_in_a_fold_shares_a_group_with_an_external_test_part(
    make_catalog: MakeCatalog, seed: int, folds: int, pairs: list[tuple[int, int]]
) -> None:
    table = two_sources(make_catalog)
    duplicates = [(f"ours{one}-0", f"theirs{other}-0") for one, other in pairs]
    split = external_split(table, ["theirs"], folds=folds, seed=seed, duplicates=duplicates)
    part, unit = table["image_id"].map(split.part), groups(table, duplicates)
    assert set(unit[part == TEST]).isdisjoint(unit[~part.isin([TEST, EXCLUDED])])
    assert set(unit[part == EXCLUDED]) <= set(unit[part == TEST])


@pytest.fixture
def pictures(tmp_path: Path) -> pd.DataFrame:
    """Twelve lesions of one picture each; the last is the first one's, mirrored."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (11, 6, 8, 3), dtype=np.uint8)
    drawn = [picture.repeat(10, axis=0).repeat(10, axis=1) for picture in coarse]
    rows = []
    for n, picture in enumerate([*drawn, drawn[0][:, ::-1]]):
        write_image(tmp_path / f"{n}.png", picture)
        rows.append(
            {"image_id": str(n), "image_path": str(tmp_path / f"{n}.png"), "lesion_id": f"L{n}", "diagnosis": "nv"}
        )
    return complete_catalog(pd.DataFrame(rows), "catalog")


def test_a_split_as_configured_reads_the_pictures_for_duplicates(pictures: pd.DataFrame) -> None:
    split = make_split(pictures, SplitSection(folds=2), jobs=1)
    assert split.duplicates == (("0", "11"),)
    assert split.part["0"] == split.part["11"]
    absent = pictures.assign(image_path="absent.png")
    assert make_split(absent, SplitSection(folds=2, duplicates=False)).duplicates == ()
    assert make_split(absent, SplitSection(folds=2, protocol=Protocol.THESIS)).protocol is Protocol.THESIS
    with pytest.raises(DataError, match=r"absent\.png"):
        make_split(absent, SplitSection(folds=2))


def test_parts_have_every_class_of_the_label_set_whatever_kinds_there_are() -> None:
    words = ["melanoma-in-situ", "lentigo-maligna", "nv", "blue-nevus", "scc", "plantar wart"]
    rows = [{"image_id": f"i{n}", "image_path": "x.png", "diagnosis": words[n % 6]} for n in range(36)]
    table = complete_catalog(pd.DataFrame(rows), "rows")
    for labels in (None, LABEL_SETS["melanoma"], LabelSet.of(["mel", "plantar wart"])):
        split = grouped_split(table, labels=labels, folds=3, test=0.25)
        classes = table["diagnosis"].map(labels.class_of if labels else main_group)
        counts = pd.crosstab(table["image_id"].map(split.part), classes).drop(columns="", errors="ignore")
        assert len(counts) == 4
        assert (counts > 0).all(axis=None)
    few = table[(table["diagnosis"] != "scc") | (table["image_id"] == "i4")]
    grouped_split(few, labels=LABEL_SETS["melanoma"], folds=3, test=0.25)
    with pytest.raises(DataError, match="diagnosis scc has 1 groups, too few for 4 parts"):
        grouped_split(few, folds=3, test=0.25)
    with pytest.raises(DataError, match="label set own: the catalog has no column streaks"):
        grouped_split(table, labels=LabelSet.of(["absent", "regular"], column="streaks"))
