"""What data sets call a diagnosis reaches the right concept, and the concept the right class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.labels import CONCEPTS, HAM10000, LABEL_SETS, find_concept, lineage, main_group
from selcn.labels.concepts import normal

# As published: by the ISIC archive, HAM10000, PH2, Derm7pt, PAD-UFES-20, MILK10k and folders of Kaggle.
PUBLISHED = [
    ("Nevus, Atypical, Dysplastic, or Clark", "atypical-nevus", "nv"),
    ("Nevus, NOS, Compound", "nv", "nv"),
    ("common_nevus", "common-nevus", "nv"),
    ("reed or spitz nevus", "spitz-nevus", "nv"),
    ("Melanocytic Nevi (NV) - 7970", "nv", "nv"),
    ("NEV", "nv", "nv"),
    ("Melanoma, NOS", "mel", "mel"),
    ("Melanoma (MEL)", "mel", "mel"),
    ("2. Melanoma 15.75k", "mel", "mel"),
    ("melanoma (in situ)", "melanoma-in-situ", "mel"),
    ("melanoma (less than 0.76 mm)", "melanoma-thin", "mel"),
    ("melanoma (0.76 to 1.5 mm)", "melanoma-medium", "mel"),
    ("melanoma (more than 1.5 mm)", "melanoma-thick", "mel"),
    ("Melanoma in situ, Lentigo maligna type", "melanoma-in-situ", "mel"),
    ("seborrheic keratosis", "seborrheic-keratosis", "bkl"),
    ("SEK", "seborrheic-keratosis", "bkl"),
    ("Lichen planus like keratosis", "lichenoid-keratosis", "bkl"),
    ("lichen-planus-like keratosis", "lichenoid-keratosis", "bkl"),
    ("Solar lentigo", "solar-lentigo", "bkl"),
    (
        "Benign keratosis-like lesions (solar lentigines / seborrheic keratoses and lichen-planus like keratoses)",
        "bkl",
        "bkl",
    ),
    ("6. Benign Keratosis-like Lesions (BKL) 2624", "bkl", "bkl"),
    ("Basal cell carcinoma, Nodular", "bcc", "bcc"),
    ("4. Basal Cell Carcinoma (BCC) 3323", "bcc", "bcc"),
    ("Solar or actinic keratosis", "actinic-keratosis", "akiec"),
    ("ACK", "actinic-keratosis", "akiec"),
    ("Squamous cell carcinoma in situ, Bowens disease", "bowen-disease", "akiec"),
    ("Bowen’s disease", "bowen-disease", "akiec"),
    ("Actinic keratoses and intraepithelial carcinoma / Bowen's disease", "akiec", "akiec"),
    ("Cherry  Angioma", "angioma", "vasc"),
    ("Vascular lesions (angiomas, angiokeratomas, pyogenic granulomas and hemorrhage)", "vasc", "vasc"),
    ("granuloma pyogenic", "pyogenic-granuloma", "vasc"),
    ("superficial spreading melanoma ssm", "mel", "mel"),
    ("nevocytic nevus", "nv", "nv"),
    ("basal cell carcinoma morpheiform", "bcc", "bcc"),
    ("DF", "df", "df"),
    ("Dermatofibromas", "df", "df"),
    # Known, and none of the seven:
    ("squamous cell carcinoma", "scc", ""),
    ("Squamous cell carcinoma, Invasive", "scc", ""),
    ("SCC_KA", "scc", ""),
    ("Keratoacanthoma", "keratoacanthoma", ""),
    ("INF", "inflammatory", ""),
    ("Inflammatory or infectious diseases", "inflammatory", ""),
    ("Melanoma metastasis", "melanoma-metastasis", ""),
    ("Melanoma, metastatic", "melanoma-metastasis", ""),
    ("lentigo NOS", "lentigo", ""),
    ("malignant", "malignant", ""),
    ("benign", "benign", ""),
    ("UNK", "unknown", ""),
    # Not known:
    ("Nevus, sebaceous", "", ""),
    ("Atypical melanocytic neoplasm", "", ""),
    ("nevus-like melanoma", "", ""),
    ("1. Eczema 1677", "", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("published", "concept", "diagnosis"), PUBLISHED)
def test_published_names_reach_their_concept_and_the_class_that_ham10000_defines(
    published: str, concept: str, diagnosis: str
) -> None:
    assert find_concept(published) == concept
    assert HAM10000.class_of(published) == diagnosis
    assert HAM10000.class_of(concept) == diagnosis


@given(st.sampled_from(list(CONCEPTS)), st.booleans(), st.sampled_from(["", " ", "  "]))
def test_a_concept_s_own_name_means_it(concept: str, upper: bool, blank: str) -> None:
    name = concept.upper() if upper else concept
    assert find_concept(f"{blank}{name}{blank}") == concept


@given(st.text())
def test_any_text_means_a_known_concept_or_none(text: str) -> None:
    assert find_concept(text) in {"", *CONCEPTS}
    assert normal(normal(text)) == normal(text)


def test_every_word_means_one_concept_and_every_parent_exists() -> None:
    words = [word for one in CONCEPTS.values() for word in {normal(word) for word in (one.name, *one.words)}]
    assert len(words) == len(set(words))
    assert all(one.parent in {"", *CONCEPTS} for one in CONCEPTS.values())
    assert lineage("solar-lentigo") == ["solar-lentigo", "bkl", "benign"]
    assert [main_group(name) for name in ("solar-lentigo", "mel", "malignant", "wart")] == [
        "bkl",
        "mel",
        "malignant",
        "wart",
    ]


def test_one_concept_serves_label_sets_of_eight_seven_three_and_two_classes() -> None:
    sets = [LABEL_SETS[name] for name in ("isic2019", "ham10000", "isic2017", "ph2", "melanoma", "benign-malignant")]
    assert {
        word: [labels.class_of(word) for labels in sets] for word in ("scc", "solar-lentigo", "lentigo-maligna")
    } == {
        "scc": ["scc", "", "", "", "rest", "malignant"],
        "solar-lentigo": ["bkl", "bkl", "", "", "rest", "benign"],
        "lentigo-maligna": ["mel", "mel", "mel", "mel", "mel", "malignant"],
    }
    melanoma = LABEL_SETS["melanoma"]
    # Too coarse to say, not known to be anything, and a word that is no concept.
    assert [melanoma.class_of(word) for word in ("malignant", "UNK", "", "wart")] == ["", "", "", "rest"]
