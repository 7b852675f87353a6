"""Which lesions there are, of which diagnosis, symmetry and number of photographs: known before any is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selcn.labels import SYMMETRY

DECK = {
    "nv": 7,
    "mel": 4,
    "bkl": 4,
    "bcc": 3,
    "akiec": 2,
    "vasc": 2,
    "df": 2,
}
"""Lesions of each diagnosis among every 24 in a row, so that any part of a phantom holds them in about these shares."""

SYMMETRY_SHARES = {
    "nv": (0.25, 0.30, 0.45),
    "mel": (0.80, 0.12, 0.08),
    "bkl": (0.40, 0.30, 0.30),
    "bcc": (0.50, 0.25, 0.25),
    "akiec": (0.50, 0.25, 0.25),
    "vasc": (0.12, 0.23, 0.65),
    "df": (0.12, 0.23, 0.65),
}
"""Probability of each symmetry, in class order."""

PHOTOGRAPH_SHARES = (0.55, 0.25, 0.12, 0.08)
"""Probability of one, two, three and four photographs of a lesion."""


@dataclass(frozen=True)
class LesionPlan:
    """A lesion to draw; ``first_image`` numbers its first photograph, both count from 1."""

    number: int
    diagnosis: str
    symmetry: str
    first_image: int
    photographs: int


def plan_lesions(images: int, seed: int) -> Iterator[LesionPlan]:
    """Plan lesions until they have ``images`` photographs; a longer plan of the same seed begins with the same ones.

    Args:
        images: how many photographs, at least 1.
        seed: of the plan, not negative.
    """
    deck: list[str] = []
    number, first_image = 1, 1
    while first_image <= images:
        rng = np.random.default_rng([seed, number, 1])
        if not deck:
            cards = [diagnosis for diagnosis, count in DECK.items() for _ in range(count)]
            deck = [cards[card] for card in rng.permutation(len(cards))]
        diagnosis = deck.pop()
        symmetry = SYMMETRY.names[rng.choice(len(SYMMETRY.names), p=SYMMETRY_SHARES[diagnosis])]
        photographs = min(int(rng.choice(4, p=PHOTOGRAPH_SHARES)) + 1, images - first_image + 1)
        yield LesionPlan(number, diagnosis, symmetry, first_image, photographs)
        number, first_image = number + 1, first_image + photographs
