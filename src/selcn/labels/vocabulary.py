"""The fixed vocabularies: subsets, maskings, fusions, controls, protocols."""

from enum import StrEnum
from typing import Self

TEST = "test"
"""Name of the held-out subset, beside the numbers of the folds."""
CALIBRATION = "calibration"
"""Name of the subset that no network is trained on, and on which the ensemble is calibrated."""
NO_MASKING = "none"
"""Name of the masking under which a network sees the whole image."""
MIRROR = "mirror"
"""Name of the backbone, and of the saliency method, of symmetry that is measured, not learned."""


class Word(StrEnum):
    """A string enum whose members parse in any case."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The member called ``text``, in any case.

        Args:
            text: a member's name; surrounding spaces are ignored.

        Raises:
            ValueError: no such member; the message lists the members.
        """
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise ValueError(f"unknown {cls.__name__.lower()} {text!r}; known are {', '.join(cls)}") from None

    @classmethod
    def names(cls) -> list[str]:
        """The members' names in class order."""
        return [member.value for member in cls]


class Fusion(Word):
    """How the saliency of an earlier network enters a classifier."""

    CONCAT = "concat"
    ATTENTION = "attention"


class Control(Word):
    """What a classifier reads in place of saliency, to measure how much the saliency itself contributes."""

    ZERO = "zero"
    SHUFFLED = "shuffled"
    RANDOM = "random"


class Protocol(Word):
    """How images are divided into a test subset and folds."""

    GROUPED = "grouped"
    THESIS = "thesis"
    EXTERNAL = "external"
