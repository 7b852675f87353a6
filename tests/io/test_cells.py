"""Tables as Excel, other people's scripts and other alphabets write them; and cells that a spreadsheet would run."""

import datetime
import re
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selcn.errors import DataError
from selcn.io.cells import guard_cell, other_case, read_cells
from selcn.io.tables import guarded, read_table

CELL = st.text("=+-@'1a.\n", max_size=6).map(str.strip)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\n sep=; "])
def test_the_separator_that_excel_writes_first_is_no_header(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first}\r\nimage_id;note\r\na;1,2,3\r\n", encoding="utf-8-sig")
    header, rows = read_cells(tmp_path / "t.csv")
    assert header == ["image_id", "note"]
    assert [cells for _, cells in rows] == [["a", "1,2,3"]]


def test_a_spreadsheet_reads_as_its_csv_does(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (
        [],
        ["image_id", "age", "hot", "seen", None],
        [7, 55.5, True, datetime.date(2024, 5, 1)],
        [],
        ["b", None],
    ):
        sheet.append(row)
    book.create_sheet("notes").append(["not read"])
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx", ["image_id"])
    assert table.to_dict("list") == {
        "image_id": ["7", "b"],
        "age": ["55.5", ""],
        "hot": ["True", ""],
        "seen": ["2024-05-01", ""],
    }
    assert list(table.index) == [3, 5]
    with ZipFile(tmp_path / "t.xlsx") as whole, ZipFile(tmp_path / "one-cell.xlsx", "w") as declared:
        for name in whole.namelist():
            declared.writestr(name, re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1"', whole.read(name)))
    assert read_table(tmp_path / "one-cell.xlsx", ["image_id"]).equals(table)
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(DataError, match=r"broken\.xlsx: not a readable spreadsheet"):
        read_table(tmp_path / "broken.xlsx")


def test_parquet_reads_as_its_csv_does(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": ["a", "=b"], "share": [0.1 + 0.2, float("nan")], "fold": [1, 0]})
    table.to_parquet(tmp_path / "t.parquet")
    guarded(table).to_csv(tmp_path / "t.csv", index=False)
    read = read_table(tmp_path / "t.parquet")
    assert read.equals(read_table(tmp_path / "t.csv"))
    assert float(read["share"][2]) == 0.1 + 0.2
    (tmp_path / "broken.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(DataError, match=r"broken\.parquet: not a readable Parquet file"):
        read_table(tmp_path / "broken.parquet")


def test_needed_columns_are_found_in_another_case(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("IMAGE_ID,Dx\na,nv\n")
    assert list(read_table(tmp_path / "t.csv", ["image_id", "dx"])) == ["image_id", "dx"]
    assert other_case(["MEL", "nv", "Nv"], ["mel", "nv", "NV"]) == {"MEL": "mel"}, "two that differ in case are two"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-x.jpg", "'-x.jpg"),
        ("'=1", "''=1"),
        ("=\n1+1", "'=\n1+1"),
        *((same, same) for same in ("-1", "+5", "-1.5e-3", "-", "=", "a=b", "'quoted'", "")),
    ],
)
def test_only_cells_that_a_spreadsheet_would_run_are_changed(cell: str, written: str) -> None:
    assert guard_cell(cell) == written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL).filter(all), min_size=1, max_size=5))
def test_guarded_cells_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    guarded(pd.DataFrame(rows, columns=["a", "b"])).to_csv(tmp_path / "t.csv", index=False)
    assert [tuple(row) for row in read_table(tmp_path / "t.csv").to_numpy()] == rows
