import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selcn.errors import DataError
from selcn.io.cells import DELIMITERS
from selcn.io.tables import lines, read_table, whole_numbers, without_placeholders

# Any text but what ends a line in some editors, and what stripping would take.
CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=8).map(str.strip)


def read(folder: Path, content: bytes | str) -> pd.DataFrame:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        "image_id,age\nä 1,80\n007,NaN\n",
        "image_id;age\nä 1;80\n007;NaN\n",
        "image_id\tage\r\nä 1\t80\r\n007\tNaN\r\n",
        "image_id|age\nä 1|80\n007|NaN",
        '\ufeff"image_id", age\n\n ä 1 , "80"\n,\n007,NaN\n\n',
        "image_id,age,\nä 1,80,\n007,NaN,\n",
        ",image_id,age\n0,ä 1,80\n1,007,NaN\n",
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, content: str) -> None:
    table = read(tmp_path, content)
    assert table.to_dict("list") == {"image_id": ["ä 1", "007"], "age": ["80", "NaN"]}
    assert read(tmp_path, content.encode("utf-16")).equals(table)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.tuples(CELL, CELL, CELL).filter(any), max_size=6),
)
def test_what_a_csv_writer_wrote_reads_back(
    tmp_path: Path, delimiter: str, newline: str, rows: list[tuple[str, ...]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows([("a", "b", "c"), *rows])
    table = read(tmp_path, text.getvalue())
    assert [tuple(row) for row in table.to_numpy()] == rows


def test_rows_know_their_line_in_the_file(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\n\n1,2\n,\n3,4\n")
    assert lines(table) == [3, 5]
    assert lines(table.reset_index(drop=True)) == [2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; write a header and rows"),
        ("\n \n", "is empty; write a header and rows"),
        ("a,b\n1\n1,2\n1,2,3\n", "line 2: 1 values under 2 columns | line 4: 3 values under 2 columns; write one"),
        ("a,b,a\n1,2,3\n", "column a stands twice; remove or rename one"),
        ('a,b\n"1,2\n3,4\n', "line 3: unexpected end of data; mend its quotation marks"),
        (b"a,b\n1,2\n\xe4,3\n", "line 3 is not UTF-8; save the table as CSV in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'table.csv'}: {message}")


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.csv: column c is missing; it holds a, b"):
        read_table(tmp_path / "t.csv", ["a", "c"])
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read \(No such file"):
        read_table(tmp_path / "absent.csv")


def test_unknown_is_unknown_however_a_tool_writes_it() -> None:
    assert without_placeholders(pd.Series(["NaN", "null", "N/A", "-", "nano", "12"])).tolist() == [
        *[""] * 4,
        "nano",
        "12",
    ]


@pytest.mark.parametrize(
    ("ids", "clean"),
    [(["12.0", "", "7.0"], ["12", "", "7"]), (["12.0", "7"], ["12.0", "7"]), (["", ""], ["", ""]), (["v.0"], ["v.0"])],
)
def test_whole_numbers_lose_the_point_that_gaps_gave_them(ids: list[str], clean: list[str]) -> None:
    assert whole_numbers(pd.Series(ids)).tolist() == clean
