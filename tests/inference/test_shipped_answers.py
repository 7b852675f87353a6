"""The bundle that ships answers as it did when it was scored."""

import json

import pytest
from shipped_answers import STORED, answers


def test_the_bundle_that_ships_answers_as_it_was_scored() -> None:
    stored, given = json.loads(STORED.read_text(encoding="utf-8")), answers()
    assert list(given) == list(stored)
    for image, numbers in stored.items():
        assert given[image] == pytest.approx(numbers, abs=1e-4), image
