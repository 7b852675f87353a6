"""Metadata that a classifier may read beside the image: age, sex and site, as numbers."""

import math
from collections.abc import Iterable, Mapping

AGE, SEX, SITE = "age", "sex", "site"
FIELDS = (AGE, SEX, SITE)
NEVER = ("dx_type", "diagnosis_confirm_type")
"""Columns that say how a diagnosis was confirmed, and so predict it: no network may read them."""
ALIASES = {
    "age_approx": "age",
    "age_approximate": "age",
    "gender": "sex",
    "localization": "site",
    "location": "site",
    "anatom_site_general": "site",
    "anatom_site_general_challenge": "site",
}
"""Names of columns in published tables, and the field that each is."""
SEXES = ("female", "male")
SITES: Mapping[str, tuple[str, ...]] = {
    "head/neck": ("head", "neck", "face", "scalp", "ear", "head neck"),
    "upper extremity": ("arm", "upper limbs", "upper limb", "hand", "upper extremities"),
    "lower extremity": ("leg", "lower limbs", "lower limb", "foot", "lower extremities"),
    "anterior torso": ("chest", "abdomen"),
    "posterior torso": ("back", "buttocks"),
    "torso": ("trunk", "lateral torso"),
    "palms/soles": ("acral", "palm", "sole"),
    "oral/genital": ("genital", "genital areas", "oral", "mucosal"),
}
"""Regions of the body with the words of data sets that mean them, from ISIC's general anatomic sites.

Their order and that of `SEXES` is what weights of bundles of format 1 are for: change neither.
"""
MISSING = ("", "unknown", "nan", "none", "n/a", "na", "unspecified")
_SITE_OF = {word: number for number, (name, words) in enumerate(SITES.items()) for word in (name, *words)}
MAX_AGE = 120
_MIDDLE, _SPAN = 50, 20  # years
_PLACES = {AGE: slice(0, 2), SEX: slice(2, 4), SITE: slice(4, 4 + len(SITES))}
WIDTH = 4 + len(SITES)
"""Numbers of one image: age in units of 20 years from 50 and whether it is known, then one a sex and one a site."""


FIELD_OF = [number for number, field in enumerate(FIELDS) for _ in range(WIDTH)[_PLACES[field]]]
"""Number of the field, in `FIELDS`, that each number of an image belongs to."""


def places(fields: Iterable[str]) -> list[int]:
    """Positions of some fields among the numbers of an image.

    Args:
        fields: of `FIELDS`.
    """
    return [place for field in fields for place in range(WIDTH)[_PLACES[field]]]


def is_missing(value: object) -> bool:
    """Whether a value of a field is missing: None, NaN, or a word such as `unknown`, in any case.

    Args:
        value: of any field.
    """
    return value is None or _word(value) in MISSING


def encode_metadata(values: Mapping[str, object]) -> list[float]:
    """The numbers of one image (`WIDTH`,); those of a missing value are 0.

    Args:
        values: by field, words in any case; an absent field counts as missing, see `is_missing`.

    Raises:
        ValueError: a field that is none of `FIELDS`, an age that is not a number from 0 to 120, or an unknown word.
    """
    numbers = [0.0] * WIDTH
    for field, value in values.items():
        if field not in FIELDS:
            raise ValueError(f"{field} is unknown; write {', '.join(FIELDS)}")
        if not is_missing(value):
            numbers[_PLACES[field]] = _ENCODE[field](_word(value))
    return numbers


def _word(value: object) -> str:
    return str(value).strip().lower()


def _age(word: str) -> list[float]:
    try:
        years = float(word)
    except ValueError:
        years = math.nan
    if not 0 <= years <= MAX_AGE:
        raise ValueError(f"age {word!r} is not a number of years from 0 to {MAX_AGE}")
    return [(years - _MIDDLE) / _SPAN, 1.0]


def _sex(word: str) -> list[float]:
    known = next((one for one in SEXES if word in (one, one[0])), None)
    if known is None:
        raise ValueError(f"sex {word!r} is unknown; write {' or '.join(SEXES)}, or leave it empty")
    return [float(one == known) for one in SEXES]


def _site(word: str) -> list[float]:
    number = _SITE_OF.get(word)
    if number is None:
        raise ValueError(f"site {word!r} is unknown; write one of {', '.join(SITES)}, or leave it empty")
    return [float(place == number) for place in range(len(SITES))]


_ENCODE = {AGE: _age, SEX: _sex, SITE: _site}
