import pytest

from selcn.data.sources import find_source, licence_of, source_specs
from selcn.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("derm7pt", {"skip_missing"}),
        ("ham10000", {"symmetry", "skip_missing"}),
        ("isic", set()),
        ("milk10k", set()),
        ("ph2", {"skip_missing"}),
        ("folder", {"masks", "labels", "columns", "skip_missing"}),
        ("merge", {"on_progress"}),
        ("symderm", {"on_progress"}),
    ],
)
def test_a_source_takes_the_options_of_its_function(name: str, options: set[str]) -> None:
    assert find_source(name.upper()).options == options
    assert len(source_specs()) == 8


def test_an_unknown_source_is_one_line_with_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"^source 'isik': unknown; known are derm7pt, folder, ham10000, isic, merge, "
    ):
        find_source("isik")


@pytest.mark.parametrize(
    ("source", "licence"),
    [
        ("HAM10000", "CC BY-NC 4.0"),
        ("isic-2019", "CC0, CC BY or CC BY-NC by image"),
        ("ph2", "research and benchmarking only"),
        ("derm7pt-test", "academic research only"),
        ("PAD-UFES-20", "CC BY 4.0"),
        ("phantom", "synthetic"),
        ("clinic", "unknown to selcn"),
        ("", "unknown to selcn"),
    ],
)
def test_a_licence_is_told_by_how_a_source_begins(source: str, licence: str) -> None:
    assert licence_of(source).startswith(licence)
