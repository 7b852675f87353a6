import pytest

from selcn.labels import (
    HAM10000,
    SYMMETRY,
    SYMMETRY_BINARY,
    Fusion,
    LabelSet,
    label_set_of,
    parse_label_set,
)


def test_diagnoses_are_numbered_in_the_order_of_the_contract() -> None:
    assert HAM10000.names == ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
    assert HAM10000.malignant == ["mel", "bcc", "akiec"]
    assert HAM10000.numbers(["df", "scc", "", "nv"]) == [6, -1, -1, 0]


def test_two_classes_join_one_axis_and_two_axes() -> None:
    words = ["asymmetric", "one-axis", "two-axes", "symmetric", ""]
    assert SYMMETRY_BINARY.numbers(words) == [0, 1, 1, 1, -1]
    assert SYMMETRY.numbers(words) == [0, 1, 2, -1, -1]
    assert [SYMMETRY_BINARY.class_of(word) for word in words[1:]] == ["symmetric", "symmetric", "symmetric", ""]
    assert SYMMETRY.ordinal
    assert not HAM10000.ordinal


def test_own_labels_are_names_or_fields() -> None:
    assert parse_label_set(["absent", "present"]).names == ["absent", "present"]
    own = parse_label_set(
        {
            "name": "streaks",
            "column": "streaks",
            "classes": ["no", {"name": "yes", "aliases": ["regular", "irregular"]}],
        }
    )
    assert (own.name, own.column, own.numbers(["irregular", "no", "none"])) == ("streaks", "streaks", [1, 0, -1])
    assert parse_label_set("ham10000") is HAM10000
    assert own.malignant == []
    assert own.long_name("yes") == "yes"
    assert HAM10000.long_name("mel") == "melanoma"
    mapping = parse_label_set({"classes": [{"name": 0, "aliases": "none"}, {"name": 1, "aliases": [2, "3"]}]})
    assert (mapping.name, mapping.numbers(["0", "none", "n", "2", "3"])) == ("own", [0, 0, -1, 1, 1])


def test_classes_may_be_called_as_people_call_a_diagnosis() -> None:
    own = LabelSet.of(["Melanocytic nevus", "melanoma", "BEN_OTH", "wart"])
    assert own.numbers(["nv", "dermal-nevus", "mel", "lentigo-maligna", "other-benign", "wart", "df", "benign"]) == [
        *(0, 0, 1, 1, 2, 3, -1, -1)
    ]
    # A name goes before the diagnosis that another name means.
    assert LabelSet.of(["melanoma", "mel"]).numbers(["melanoma", "mel"]) == [0, 1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ham1000", "unknown label set 'ham1000'; known are ham10000, isic2019, isic2017, ph2, melanoma, "),
        (["a"], "has 1 classes"),
        (["a", ""], "'' is empty"),
        (["a", {"name": "b", "aliases": ["a"]}], "'a' is empty or stands for two classes"),
        ({"classes": ["a", "b"], "colour": 1}, "has the keys name, classes, column, ordinal"),
        ([{"long_name": "a"}, "b"], "a class has the keys name"),
        (3, "3 is no label set"),
        ([True, False], "a class is called True; put yes, no, on, off, true and false in quotes"),
        ([{"name": "a", "aliases": [False]}, "b"], "a class is called False"),
    ],
)
def test_wrong_label_sets_are_told_in_one_line(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_label_set(value)


def test_the_set_of_some_names_is_a_built_in_one_in_its_own_order_or_theirs() -> None:
    assert label_set_of(["symmetric", "asymmetric"]) is SYMMETRY_BINARY
    assert label_set_of(["z", "a"]).names == ["z", "a"]
    assert label_set_of(["z", "a"]) == LabelSet.of(["z", "a"])


def test_names_parse_in_any_case() -> None:
    assert Fusion.parse(" Concat ") is Fusion.CONCAT
    with pytest.raises(ValueError, match="unknown fusion 'sum'; known are concat, attention"):
        Fusion.parse("sum")
