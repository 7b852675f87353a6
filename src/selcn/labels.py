"""The only owners of class names and of their order."""

from enum import StrEnum
from typing import Self

TEST = "test"
"""Name of the held-out subset, beside the numbers of the folds."""


class _Named(StrEnum):
    """A string enum whose members parse in any case and number themselves in written order."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the member called ``text``, in any case.

        Raises:
            ValueError: no such member; the message lists those there are.
        """
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise ValueError(f"unknown {cls.__name__.lower()} {text!r}; known are {', '.join(cls)}") from None

    @classmethod
    def names(cls) -> list[str]:
        """The members' names in class order."""
        return [member.value for member in cls]


class Diagnosis(_Named):
    """The seven diagnoses of HAM10000 (Tschandl et al. 2018), in the order networks number them."""

    NV = "nv"
    MEL = "mel"
    BKL = "bkl"
    BCC = "bcc"
    AKIEC = "akiec"
    VASC = "vasc"
    DF = "df"

    @property
    def spelled(self) -> str:
        """Its name for people."""
        return _SPELLED[self]


_SPELLED = {
    Diagnosis.NV: "melanocytic nevus",
    Diagnosis.MEL: "melanoma",
    Diagnosis.BKL: "benign keratosis",
    Diagnosis.BCC: "basal cell carcinoma",
    Diagnosis.AKIEC: "actinic keratosis or Bowen's disease",
    Diagnosis.VASC: "vascular lesion",
    Diagnosis.DF: "dermatofibroma",
}


class Symmetry(_Named):
    """Symmetry of a lesion in SymDerm's direction: about no axis, one axis, two axes."""

    ASYMMETRIC = "asymmetric"
    ONE_AXIS = "one-axis"
    TWO_AXES = "two-axes"


class BinarySymmetry(_Named):
    """The two classes the thesis trains on: SymDerm 0 against 1 or 2."""

    ASYMMETRIC = "asymmetric"
    SYMMETRIC = "symmetric"

    @classmethod
    def of(cls, symmetry: str) -> "BinarySymmetry":
        """Reduce three classes to two; what is one of the two already stays."""
        return cls.ASYMMETRIC if symmetry == cls.ASYMMETRIC else cls.SYMMETRIC


SYMMETRIES = [*Symmetry.names(), BinarySymmetry.SYMMETRIC.value]
"""What a catalog may hold: a label of two classes only says that a lesion is symmetric, not about how many axes."""


class Masking(_Named):
    """What of an image a network is shown, given the lesion's mask."""

    NONE = "none"
    SEGMENTATION = "segmentation"
    LAE = "lae"


class Fusion(_Named):
    """How the symmetry saliency enters the lesion classifier."""

    NONE = "none"
    CONCAT = "concat"
    ATTENTION = "attention"


class Control(_Named):
    """What a classifier is given in place of the symmetry saliency, to see what the saliency itself is worth."""

    ZERO = "zero"
    SHUFFLED = "shuffled"
    RANDOM = "random"


class Head(_Named):
    """What a saliency map explains: the lesion's mask, its symmetry or its diagnosis."""

    SEGMENTATION = "segmentation"
    SYMMETRY = "symmetry"
    DIAGNOSIS = "diagnosis"


class StageName(_Named):
    """The three stages, in order."""

    SEGMENTATION = "segmentation"
    SYMMETRY = "symmetry"
    CLASSIFICATION = "classification"


class Protocol(_Named):
    """How images are dealt to a test part and folds."""

    GROUPED = "grouped"
    THESIS = "thesis"
    EXTERNAL = "external"
