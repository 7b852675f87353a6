"""Diagnostic concepts, from coarse to fine, and what data sets call them.

A source's word becomes a concept when a data set is indexed, and the concept a class of a label set when a run starts,
so that one catalog serves label sets of eight, seven, three or two classes. The groups `nv`, `mel`, `bkl`, `akiec`,
`vasc` are those that Tschandl et al. (2018) define: nv holds all variants of melanocytic nevi; mel all melanomas of the
skin, invasive or in situ; bkl seborrheic keratoses, solar lentigines and lichen-planus-like keratoses; akiec actinic
keratoses and intraepithelial carcinoma, so no invasive carcinoma; vasc angiomas, angiokeratomas, pyogenic granulomas
and haemorrhage. The levels above and below follow the diagnoses of the ISIC archive; akiec counts as malignant, as in
most studies of HAM10000 that ask for benign or malignant.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Concept:
    """One diagnosis or group of diagnoses.

    Attributes:
        name: as in a catalog's column `diagnosis`, for example `seborrheic-keratosis`.
        parent: name of the concept that it is a kind of; "" at the top.
        words: what it is called, singular and in lower case, beside its name.
    """

    name: str
    parent: str
    words: tuple[str, ...] = ()


BENIGN, MALIGNANT, UNKNOWN = "benign", "malignant", "unknown"
_NEVI = "nevus|melanocytic nevus|nevocytic nevus|nevus spilus|junctional nevus|compound nevus|nev"
_MELANOMAS = (
    "melanoma|malignant melanoma|melanoma invasive|superficial spreading melanoma|nodular melanoma|"
    "superficial spreading melanoma ssm|acral lentiginous melanoma|amelanotic melanoma"
)
_AKIEC = "actinic keratosis and intraepithelial carcinoma bowen disease|actinic keratosis or bowen disease"
CONCEPTS = {
    name: Concept(name, parent, tuple(words.split("|")) if words else ())
    for name, parent, words in (
        (BENIGN, "", ""),
        (MALIGNANT, "", ""),
        (UNKNOWN, "", "unk|none of the others"),
        ("nv", BENIGN, _NEVI),
        ("common-nevus", "nv", "common nevus"),
        ("atypical-nevus", "nv", "atypical nevus|dysplastic nevus|clark nevus|nevus atypical dysplastic or clark"),
        ("blue-nevus", "nv", "blue nevus"),
        ("spitz-nevus", "nv", "spitz nevus|reed nevus|reed or spitz nevus|spitz or reed nevus|spindle cell nevus"),
        ("congenital-nevus", "nv", "congenital nevus"),
        ("combined-nevus", "nv", "combined nevus"),
        ("recurrent-nevus", "nv", "recurrent nevus"),
        ("dermal-nevus", "nv", "dermal nevus|intradermal nevus"),
        ("halo-nevus", "nv", "halo nevus"),
        ("mel", MALIGNANT, _MELANOMAS),
        ("melanoma-in-situ", "mel", "melanoma in situ"),
        ("lentigo-maligna", "mel", "lentigo maligna|lentigo maligna melanoma"),
        ("melanoma-thin", "mel", "melanoma less than 0.76 mm"),
        ("melanoma-medium", "mel", "melanoma 0.76 to 1.5 mm"),
        ("melanoma-thick", "mel", "melanoma more than 1.5 mm"),
        ("melanoma-metastasis", MALIGNANT, "melanoma metastasis|melanoma metastatic"),
        ("bkl", BENIGN, "benign keratosis|benign keratosis like lesion|pigmented benign keratosis"),
        ("seborrheic-keratosis", "bkl", "seborrheic keratosis|sk|sek"),
        ("solar-lentigo", "bkl", "solar lentigo|ink spot lentigo"),
        (
            "lichenoid-keratosis",
            "bkl",
            "lichenoid keratosis|benign lichenoid keratosis|lichen planus like keratosis|lplk",
        ),
        (
            "bcc",
            MALIGNANT,
            "basal cell carcinoma|basalioma|basal cell carcinoma morpheiform|solid cystic basal cell carcinoma",
        ),
        ("akiec", MALIGNANT, _AKIEC),
        ("actinic-keratosis", "akiec", "actinic keratosis|ak|ack|solar keratosis|solar or actinic keratosis"),
        ("bowen-disease", "akiec", "bowen disease|intraepithelial carcinoma|squamous cell carcinoma in situ"),
        ("scc", MALIGNANT, "squamous cell carcinoma|squamous cell carcinoma invasive|scc ka|sccka"),
        ("keratoacanthoma", "scc", "keratoacanthoma"),
        ("vasc", BENIGN, "vascular lesion|vascular"),
        ("angioma", "vasc", "angioma|cherry angioma|hemangioma"),
        ("angiokeratoma", "vasc", "angiokeratoma"),
        ("pyogenic-granuloma", "vasc", "pyogenic granuloma|granuloma pyogenic"),
        ("hemorrhage", "vasc", "hemorrhage"),
        ("df", BENIGN, "dermatofibroma"),
        ("lentigo", BENIGN, "lentigo|lentigo simplex|lentigo nos"),
        ("melanosis", BENIGN, "melanosis"),
        ("inflammatory", BENIGN, "inf|inflammatory or infectious disease|inflammatory and infectious condition"),
        ("other-benign", BENIGN, "ben oth|other benign proliferation"),
        ("other-malignant", MALIGNANT, "mal oth|other malignant proliferation"),
    )
}
"""Every concept by name, parents before their children."""
_OTHER = re.compile(r"\b(metasta|sebace|epidermal|comedo|anemic|lipomat|connective)")
_COUNT = re.compile(r"[\s:=(-]+[\d.,]*\dk?\)?(\s*(images?|photos?|pictures?))?\s*$", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*\d+[.)]\s+")
_BRACKETS = re.compile(r"[(\[]([^)\]]*)[)\]]")
_SPELLINGS = {
    "naevus": "nevus",
    "nevi": "nevus",
    "naevi": "nevus",
    "haemangioma": "hemangioma",
    "haemorrhage": "hemorrhage",
    "seborrhoeic": "seborrheic",
    "keratoses": "keratosis",
    "lentigines": "lentigo",
    "melanomata": "melanoma",
    "metastases": "metastasis",
}


def find_concept(word: str) -> str:
    """Name of the concept that a published diagnosis means, "" where it means none that is known.

    Case, plural, hyphens, underscores, apostrophes, a number before and a count behind the word do not matter. Brackets
    may hold a specification (`melanoma (in situ)`), an abbreviation (`Melanoma (MEL)`) or anything else, which is then
    left out; so is a specification behind a comma (`Nevus, NOS, Compound`), unless it makes another thing of it, as in
    `Melanoma, metastatic` and `Nevus, sebaceous`.

    Args:
        word: as the source writes it.
    """
    return next((found for one in _readings(word) if (found := _by_word().get(one))), "")


def lineage(concept: str) -> list[str]:
    """A concept and those that it is a kind of, the finest first; empty for what is no concept.

    Args:
        concept: its name.
    """
    found = []
    while concept in CONCEPTS:
        found.append(concept)
        concept = CONCEPTS[concept].parent
    return found


def main_group(diagnosis: str) -> str:
    """The concept below `benign` and `malignant` that a diagnosis belongs to, such as `bkl` of `solar-lentigo`.

    Args:
        diagnosis: a concept's name; anything else is returned as it is.
    """
    levels = lineage(diagnosis)
    return next((one for one in reversed(levels) if CONCEPTS[one].parent), diagnosis)


def normal(word: str) -> str:
    """A word in lower case and singular, its punctuation and accents left out.

    Args:
        word: as written.
    """
    plain = unicodedata.normalize("NFKD", re.sub("['’`´]", "", word)).encode("ascii", "ignore").decode().lower()
    parts = re.sub(r"[^a-z0-9.]+|(?<!\d)\.|\.(?!\d)", " ", plain).split()
    return " ".join(_singular(part) for part in parts)


def _singular(word: str) -> str:
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word
    return _SPELLINGS.get(singular, singular)


def _readings(word: str) -> Iterator[str]:
    """What a word may mean, the nearest reading first."""
    whole = normal(word)
    yield whole
    bare = _COUNT.sub("", _NUMBERED.sub("", word))
    yield normal(bare)
    if not _OTHER.search(whole):
        yield normal(_BRACKETS.sub(" ", bare))
        yield from map(normal, _BRACKETS.findall(bare))
        yield normal(bare.partition(",")[0])


@cache
def _by_word() -> dict[str, str]:
    return {normal(word): one.name for one in CONCEPTS.values() for word in (one.name, *one.words)}
