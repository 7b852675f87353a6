"""What sources call a diagnosis -> the seven classes of HAM10000.

The classes are those that Tschandl et al. (2018) define: nv holds all variants of melanocytic nevi; mel all melanomas
of the skin, invasive or in situ; bkl seborrheic keratoses, solar lentigines and lichen-planus-like keratoses; akiec
actinic keratoses and intraepithelial carcinoma (Bowen's disease), so no invasive carcinoma; vasc angiomas,
angiokeratomas, pyogenic granulomas and haemorrhage. What is not clearly one of them maps to none: squamous cell
carcinoma that is invasive or of unknown depth, lentigo that is not called solar, atypical melanocytic proliferations,
metastases.
"""

import re

import pandas as pd

NAMES = {
    "nv": (
        "nevus",
        "naevus",
        "nevi",
        "melanocytic nevus",
        "melanocytic nevi",
        "common nevus",
        "atypical nevus",
        "dysplastic nevus",
        "blue nevus",
        "spitz nevus",
        "reed nevus",
        "clark nevus",
        "congenital nevus",
        "halo nevus",
        "combined nevus",
        "recurrent nevus",
        "nevus spilus",
        "dermal nevus",
        "junctional nevus",
        "compound nevus",
    ),
    "mel": (
        "melanoma",
        "malignant melanoma",
        "melanoma in situ",
        "melanoma invasive",
        "superficial spreading melanoma",
        "nodular melanoma",
        "lentigo maligna",
        "lentigo maligna melanoma",
        "acral lentiginous melanoma",
        "amelanotic melanoma",
    ),
    "bkl": (
        "benign keratosis",
        "seborrheic keratosis",
        "seborrhoeic keratosis",
        "pigmented benign keratosis",
        "solar lentigo",
        "lichenoid keratosis",
        "benign lichenoid keratosis",
        "lichen planus like keratosis",
        "lplk",
        "sk",
    ),
    "bcc": ("basal cell carcinoma", "basalioma"),
    "akiec": (
        "ak",
        "actinic keratosis",
        "actinic keratoses",
        "solar keratosis",
        "solar or actinic keratosis",
        "bowens disease",
        "bowen disease",
        "intraepithelial carcinoma",
        "squamous cell carcinoma in situ",
    ),
    "vasc": (
        "vascular lesion",
        "vascular lesions",
        "angioma",
        "cherry angioma",
        "hemangioma",
        "haemangioma",
        "angiokeratoma",
        "pyogenic granuloma",
        "hemorrhage",
        "haemorrhage",
    ),
    "df": ("dermatofibroma",),
}
_OTHER = re.compile(r"\b(metasta|sebace|epidermal|comedo|anemic|lipomat|connective)")
_CLASS_OF = {name: diagnosis for diagnosis, names in NAMES.items() for name in (diagnosis, *names)}


def map_diagnosis(published: str) -> str:
    """Name of the class that a published diagnosis belongs to, or "" where it belongs to none.

    Case, blanks, underscores, hyphens and apostrophes do not matter; a specification behind a comma, as in
    `Nevus, NOS, Compound`, is left out where the whole is not known, unless it makes another thing of it, as in
    `Melanoma, metastatic` and `Nevus, sebaceous`.

    Args:
        published: the source's word.
    """
    whole, head = (_normal(text) for text in (published, published.partition(",")[0]))
    return _CLASS_OF.get(whole) or ("" if _OTHER.search(whole) else _CLASS_OF.get(head, ""))


def map_diagnoses(published: "pd.Series[str]") -> "pd.Series[str]":
    """`map_diagnosis` of a column.

    Args:
        published: the source's words.
    """
    return published.map({name: map_diagnosis(name) for name in published.unique()})


def _normal(text: str) -> str:
    return " ".join(re.sub(r"[\s_,-]+", " ", re.sub("['’`´]", "", text.lower())).split())
