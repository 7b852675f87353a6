import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.data.sources.diagnoses import map_diagnosis
from selcn.labels import HAM10000


@pytest.mark.parametrize(
    ("published", "diagnosis"),
    [
        ("Nevus, Atypical, Dysplastic, or Clark", "nv"),
        ("Nevus, NOS, Compound", "nv"),
        ("common_nevus", "nv"),
        ("Melanoma, NOS", "mel"),
        ("Melanoma in situ, Lentigo maligna type", "mel"),
        ("seborrheic keratosis", "bkl"),
        ("Lichen planus like keratosis", "bkl"),
        ("lichen-planus-like keratosis", "bkl"),
        ("Solar lentigo", "bkl"),
        ("Basal cell carcinoma, Nodular", "bcc"),
        ("Solar or actinic keratosis", "akiec"),
        ("Squamous cell carcinoma in situ, Bowens disease", "akiec"),
        ("Bowen’s disease", "akiec"),
        ("Cherry  Angioma", "vasc"),
        ("DF", "df"),
        # Not clearly one of the seven:
        ("squamous cell carcinoma", ""),
        ("Squamous cell carcinoma, Invasive", ""),
        ("Melanoma metastasis", ""),
        ("Melanoma, metastatic", ""),
        ("Nevus, sebaceous", ""),
        ("lentigo NOS", ""),
        ("Atypical melanocytic neoplasm", ""),
        ("malignant", ""),
        ("benign", ""),
        ("unknown", ""),
        ("", ""),
        ("nevus-like melanoma", ""),
    ],
)
def test_published_names_map_to_the_class_that_ham10000_defines_or_to_none(published: str, diagnosis: str) -> None:
    assert map_diagnosis(published) == diagnosis


@given(st.sampled_from(HAM10000.names), st.booleans(), st.sampled_from(["", " ", "  "]))
def test_the_classes_own_names_map_to_themselves(diagnosis: str, upper: bool, blank: str) -> None:
    name = diagnosis.upper() if upper else diagnosis
    assert map_diagnosis(f"{blank}{name}{blank}") == diagnosis


@given(st.text())
def test_any_text_maps_to_a_class_or_to_none(text: str) -> None:
    assert map_diagnosis(text) in {"", *HAM10000.names}
