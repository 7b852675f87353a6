"""Metadata as numbers, against hand-made rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.data.metadata import encode_table
from selcn.inference.given import METADATA, Given
from selcn.labels.metadata import FIELD_OF, FIELDS, SITES, WIDTH, encode_metadata, places


@pytest.mark.parametrize(
    ("values", "age", "sex", "site"),
    [
        ({"age": 70, "sex": "female", "site": "back"}, [1.0, 1], [1, 0], "posterior torso"),
        ({"age": "30.0", "sex": "M", "site": "Lower Extremity"}, [-1.0, 1], [0, 1], "lower extremity"),
        ({"age": 0, "sex": "unknown", "site": "palms/soles"}, [-2.5, 1], [0, 0], "palms/soles"),
        ({"age": float("nan"), "sex": None}, [0, 0], [0, 0], None),
        ({"age": "NaN", "sex": " Unknown "}, [0, 0], [0, 0], None),
        ({}, [0, 0], [0, 0], None),
    ],
)
def test_an_images_metadata_is_these_numbers(
    values: dict[str, Any], age: list[float], sex: list[float], site: str | None
) -> None:
    numbers = encode_metadata(values)
    assert numbers == [*age, *sex, *(float(name == site) for name in SITES)]
    assert (METADATA in Given(metadata=values).names) == any(numbers)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"age": "old"}, "age 'old' is not a number of years from 0 to 120"),
        ({"age": 130}, "age '130' is not a number"),
        ({"sex": "7"}, "sex '7' is unknown; write female or male"),
        ({"site": "moon"}, "site 'moon' is unknown; write one of head/neck"),
        ({"dx_type": "histo"}, "dx_type is unknown; write age, sex, site"),
    ],
)
def test_values_of_another_kind_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_metadata(values)


def test_every_number_belongs_to_one_field() -> None:
    assert sorted(place for field in FIELDS for place in places([field])) == list(range(WIDTH))
    assert [FIELDS[number] for number in FIELD_OF] == [
        next(f for f in FIELDS if p in places([f])) for p in range(WIDTH)
    ]


def test_a_table_is_encoded_row_by_row_and_unknown_words_are_counted() -> None:
    table = pd.DataFrame(
        {"age": ["70", "", "x", "30"], "sex": ["male", "male", "alien", "alien"], "other": list("abcd")}
    )
    found = encode_table(table)
    rows: list[dict[str, object]] = [{"age": 70, "sex": "male"}, {"sex": "male"}, {}, {"age": 30}]
    assert np.array_equal(found.numbers, np.array([encode_metadata(row) for row in rows], np.float32))
    assert found.unknown == {"age": {"x": 1}, "sex": {"alien": 2}}
    assert encode_table(table, ["sex"]).numbers[:, :2].sum() == 0
