from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selcn.data.catalog import complete_catalog
from selcn.data.sources import join_symmetry
from selcn.errors import DataError
from selcn.labels import SYMMETRY, SYMMETRY_BINARY


def catalog(**symmetry: str) -> pd.DataFrame:
    rows = [{"image_id": name, "image_path": "x.png", "symmetry": label} for name, label in symmetry.items()]
    return complete_catalog(pd.DataFrame(rows), "catalog")


def labels(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text("File,Mask,Dataset,labels_symmetry\n" + text)
    return folder / name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("012"), min_size=1),
    st.sampled_from([".jpg", ".PNG", ""]),
)
def test_three_or_two_classes_are_read_by_what_the_file_holds(
    tmp_path: Path, given: dict[str, str], suffix: str
) -> None:
    path = labels(tmp_path, "".join(f"folder\\{name}{suffix},m,S,{label}\n" for name, label in given.items()))
    names = SYMMETRY.names if "2" in given.values() else SYMMETRY_BINARY.names
    joined = join_symmetry(catalog(**dict.fromkeys("abcdef", "")), [path]).table
    assert joined["symmetry"].tolist() == [names[int(given[name])] if name in given else "" for name in "abcdef"]


def test_a_coarse_label_gives_way_to_one_that_names_the_axes(tmp_path: Path) -> None:
    coarse = labels(tmp_path, "a.jpg,,S,1\nb.jpg,,S,1\nc.jpg,,S,0\n", "coarse.csv")
    fine = labels(tmp_path, "a.jpg,,S,1\nd.jpg,,S,2\n", "fine.csv")
    for order in ([coarse, fine], [fine, coarse]):
        joined = join_symmetry(catalog(a="", b="two-axes", c="", d=""), order).table
        assert joined["symmetry"].tolist() == ["one-axis", "two-axes", "asymmetric", "two-axes"]


def test_every_contradiction_is_named(tmp_path: Path) -> None:
    path = labels(tmp_path, "a.jpg,,S,0\nb.jpg,,S,2\na.jpg,,S,2\nc.jpg,,S,1\n")
    with pytest.raises(DataError) as caught:
        join_symmetry(catalog(a="", b="", c="asymmetric"), [path])
    assert "line 4: a is two-axes, but asymmetric elsewhere" in str(caught.value)
    assert "line 5: c is one-axis, but asymmetric elsewhere" in str(caught.value)


def test_labels_without_an_image_are_counted_by_their_source(tmp_path: Path) -> None:
    path = labels(tmp_path, "a.jpg,,HAM10000,0\nx.jpg,,edra,2\ny.jpg,,edra,0\nz.jpg,,,0\n")
    notes = join_symmetry(catalog(a=""), [path]).notes
    assert notes == {"labels of edra without an image": 2, "labels of no source without an image": 1}


def test_several_files_count_a_missing_image_once_and_may_not_contradict_each_other_on_it(tmp_path: Path) -> None:
    whole = labels(tmp_path, "a.jpg,,edra,2\nx.jpg,,edra,1\n", "whole.csv")
    part = labels(tmp_path, "x.jpg,,edra,1\n", "part.csv")
    assert join_symmetry(catalog(a=""), [whole, part]).notes == {"labels of edra without an image": 1}
    wrong = labels(tmp_path, "x.jpg,,edra,0\n", "wrong.csv")
    with pytest.raises(DataError, match=r"wrong\.csv: line 2: x is asymmetric, but one-axis elsewhere"):
        join_symmetry(catalog(a=""), [whole, wrong])


def test_all_wrong_labels_are_named(tmp_path: Path) -> None:
    path = labels(tmp_path, "a.jpg,,S,3\nb.jpg,,S,2\nc.jpg,,S,\n")
    with pytest.raises(DataError, match=r"line 2: label '3' \| line 4: label '' is none of 0, 1, 2; correct it"):
        join_symmetry(catalog(a=""), [path])
    with pytest.raises(DataError, match="names none of the catalog's images"):
        join_symmetry(catalog(q=""), [labels(tmp_path, "a.jpg,,S,0\n")])
