"""What images are called: diagnostic concepts, label sets, and the few fixed vocabularies."""

from selcn.labels.concepts import CONCEPTS, UNKNOWN, Concept, find_concept, lineage, main_group
from selcn.labels.metadata import FIELDS, encode_metadata
from selcn.labels.sets import (
    HAM10000,
    LABEL_SETS,
    SYMMETRIES,
    SYMMETRY,
    SYMMETRY_BINARY,
    LabelClass,
    LabelSet,
    label_set_of,
    parse_label_set,
)
from selcn.labels.vocabulary import CALIBRATION, MIRROR, NO_MASKING, TEST, Control, Fusion, Protocol, Word

__all__ = [
    "CALIBRATION",
    "CONCEPTS",
    "FIELDS",
    "HAM10000",
    "LABEL_SETS",
    "MIRROR",
    "NO_MASKING",
    "SYMMETRIES",
    "SYMMETRY",
    "SYMMETRY_BINARY",
    "TEST",
    "UNKNOWN",
    "Concept",
    "Control",
    "Fusion",
    "LabelClass",
    "LabelSet",
    "Protocol",
    "Word",
    "encode_metadata",
    "find_concept",
    "label_set_of",
    "lineage",
    "main_group",
    "parse_label_set",
]
