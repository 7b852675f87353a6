"""Which lesions there are, of which diagnosis, symmetry and number of photographs: known before any is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selcn.labels import Diagnosis, Symmetry

DECK = {
    Diagnosis.NV: 7,
    Diagnosis.MEL: 4,
    Diagnosis.BKL: 4,
    Diagnosis.BCC: 3,
    Diagnosis.AKIEC: 2,
    Diagnosis.VASC: 2,
    Diagnosis.DF: 2,
}
"""Lesions of each diagnosis among every 24 in a row, so that any part of a phantom holds them in about these shares."""

SYMMETRY_SHARES = {
    Diagnosis.NV: (0.25, 0.30, 0.45),
    Diagnosis.MEL: (0.80, 0.12, 0.08),
    Diagnosis.BKL: (0.40, 0.30, 0.30),
    Diagnosis.BCC: (0.50, 0.25, 0.25),
    Diagnosis.AKIEC: (0.50, 0.25, 0.25),
    Diagnosis.VASC: (0.12, 0.23, 0.65),
    Diagnosis.DF: (0.12, 0.23, 0.65),
}
"""Probability of each symmetry, in class order."""

PHOTOGRAPH_SHARES = (0.55, 0.25, 0.12, 0.08)
"""Probability of one, two, three and four photographs of a lesion."""


@dataclass(frozen=True)
class LesionPlan:
    """A lesion to draw; ``first_image`` numbers its first photograph, both count from 1."""

    number: int
    diagnosis: Diagnosis
    symmetry: Symmetry
    first_image: int
    photographs: int


def plan_lesions(images: int, seed: int) -> Iterator[LesionPlan]:
    """Plan lesions until they have ``images`` photographs; a longer plan of the same seed begins with the same ones."""
    deck: list[Diagnosis] = []
    number, first_image = 1, 1
    while first_image <= images:
        rng = np.random.default_rng([seed, number, 1])
        if not deck:
            cards = [diagnosis for diagnosis, count in DECK.items() for _ in range(count)]
            deck = [cards[card] for card in rng.permutation(len(cards))]
        diagnosis = deck.pop()
        symmetry = list(Symmetry)[rng.choice(len(Symmetry), p=SYMMETRY_SHARES[diagnosis])]
        photographs = min(int(rng.choice(4, p=PHOTOGRAPH_SHARES)) + 1, images - first_image + 1)
        yield LesionPlan(number, diagnosis, symmetry, first_image, photographs)
        number, first_image = number + 1, first_image + photographs
