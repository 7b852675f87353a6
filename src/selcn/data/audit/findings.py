"""The kinds of findings: how grave each is, what it means, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error makes results wrong or impossible; a warning is worth a look; a note is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Mend(StrEnum):
    """What `fix` does with the images of a finding."""

    NOTHING = ""
    ROW = "row dropped"
    LATER_ROWS = "row dropped, being a copy of the first"
    MASK = "mask dropped"


@dataclass(frozen=True)
class Kind:
    """One kind of finding."""

    severity: Severity
    meaning: str
    mend: Mend = Mend.NOTHING


ERROR, WARNING, NOTE = Severity
KINDS = {
    "missing": Kind(ERROR, "the image's file is not there", Mend.ROW),
    "unreadable": Kind(ERROR, "the image cannot be decoded", Mend.ROW),
    "truncated": Kind(ERROR, "the image's file ends early", Mend.ROW),
    "too-large": Kind(ERROR, "the header claims more pixels than can be decoded", Mend.ROW),
    "several-frames": Kind(ERROR, "the file holds several frames; index it anew, for a row a frame", Mend.ROW),
    "tiny": Kind(ERROR, "a side is shorter than 32 pixels", Mend.ROW),
    "blank": Kind(ERROR, "black, or one colour all over", Mend.ROW),
    "two-valued": Kind(ERROR, "two colours only: a mask, no photograph", Mend.ROW),
    "belongs-to-image": Kind(WARNING, "named as a mask or by-product of another image of the catalog"),
    "odd-aspect": Kind(WARNING, "more than four times as long as wide: perhaps not a dermoscopic image"),
    "wrong-extension": Kind(WARNING, "the content is of another format than the name says"),
    "not-rgb": Kind(WARNING, "not stored as 8-bit RGB; it is read as if it were"),
    "exif-turned": Kind(WARNING, "stored turned; it is read upright, so see that its mask is upright too"),
    "no-mask": Kind(NOTE, "no lesion mask"),
    "mask-unreadable": Kind(ERROR, "the mask's file is missing or cannot be decoded", Mend.MASK),
    "mask-shape": Kind(ERROR, "the mask has another shape than its image", Mend.MASK),
    "mask-empty": Kind(ERROR, "the mask holds no lesion", Mend.MASK),
    "mask-inverted": Kind(ERROR, "lesion along the border and not in the middle: black and white exchanged", Mend.MASK),
    "mask-full": Kind(WARNING, "the mask covers the whole image"),
    "mask-scale": Kind(NOTE, "the mask has another resolution than its image; it is scaled"),
    "no-diagnosis": Kind(NOTE, "no known diagnosis; trained on where a label set names it"),
    "label-conflict": Kind(ERROR, "images of one lesion have different diagnoses", Mend.ROW),
    "patient-conflict": Kind(ERROR, "images of one lesion have different patients", Mend.ROW),
    "symmetry-conflict": Kind(WARNING, "images of one lesion have different symmetries"),
    "duplicate-conflict": Kind(ERROR, "the same image has different diagnoses", Mend.ROW),
    "duplicate-exact": Kind(ERROR, "the same file under different lesions", Mend.LATER_ROWS),
    "duplicate-near": Kind(WARNING, "the same image under different lesions; `selcn split` keeps them together"),
    "duplicate-inside": Kind(NOTE, "the same image twice within one lesion"),
    "leak-test": Kind(ERROR, "the test part shares what it holds with training; make the split anew"),
    "leak-fold": Kind(ERROR, "folds share what they hold out; make the split anew"),
    "leak-stage": Kind(ERROR, "one split trains on what another tests or holds out; use one split for all networks"),
    "split-partial": Kind(WARNING, "images of the catalog have no part in the split"),
    "split-strange": Kind(WARNING, "the split names images that the catalog does not hold"),
}


@dataclass(frozen=True)
class Finding:
    """Something that is so of some images.

    Attributes:
        kind: its name among `KINDS`.
        image_ids: the images, in the catalog's order.
        detail: what exactly, in words.
    """

    kind: str
    image_ids: tuple[str, ...]
    detail: str

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return KINDS[self.kind].severity
