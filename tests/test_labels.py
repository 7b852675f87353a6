import pytest

from selcn.labels import BinarySymmetry, Diagnosis, Masking, Symmetry


def test_diagnoses_are_numbered_in_the_order_of_the_contract() -> None:
    assert Diagnosis.names() == ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]


def test_two_classes_join_one_axis_and_two_axes() -> None:
    assert [BinarySymmetry.of(symmetry).value for symmetry in Symmetry] == ["asymmetric", "symmetric", "symmetric"]
    assert [BinarySymmetry.of(symmetry) for symmetry in BinarySymmetry] == list(BinarySymmetry)


def test_names_parse_in_any_case() -> None:
    assert Masking.parse(" LAE ") is Masking.LAE
    assert Masking.parse("None") is Masking.NONE


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown diagnosis 'scc'; known are nv, mel, bkl, bcc, akiec, vasc, df"):
        Diagnosis.parse("scc")
