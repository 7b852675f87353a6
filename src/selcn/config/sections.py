"""Data, split and preparation of a run, and kinds of values: frozen, validated models; unknown keys are refused."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from selcn.labels import Protocol

Fraction = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[
    tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]],
    Field(description="width and height in pixels"),
]

Schedule = Annotated[
    Literal["constant", "poly", "cosine", "one-cycle"],
    Field(description="of lr over the steps: poly falls as (1 - t)^0.9, cosine as half a wave; one-cycle rises first"),
]
LearningRate = Annotated[float, Field(gt=0, description="largest learning rate")]
Monitor = Annotated[
    Literal["loss", "score"],
    Field(description="what keeps an epoch's weights, of the validation fold; score: Jaccard index, balanced accuracy"),
]
IMAGE_AND_MASK = "image+mask"
"""Input of a classifier whose first convolution has a fourth channel, the lesion's mask."""

Hair = bool | Literal["thesis"]
"""Whether hair is removed; `thesis` with the grey weights of red and blue swapped, as the thesis' scripts did."""


class Section(BaseModel):
    """Base of every model of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PhantomSource(Section):
    """A synthetic data set, generated in the run folder."""

    source: Literal["phantom"] = Field(description="drawn lesions")
    images: int = Field(600, ge=1, description="how many are drawn")
    seed: int = Field(7, description="of the drawing")


class Ham10000Source(Section):
    """HAM10000 as published, with symmetry labels joined by image id."""

    source: Literal["ham10000"] = Field(description="HAM10000")
    paths: tuple[Path, ...] = Field(min_length=1, description="folders and files of `selcn index ham10000`")
    symmetry: Path | None = Field(None, description="SymDerm's table of symmetry labels")
    lesions: int | None = Field(None, ge=1, description="sample about this many lesions, classes as even as there are")
    seed: int = Field(42, description="of the sample of lesions")


class CatalogSource(Section):
    """A catalog made by `selcn index` or by hand."""

    source: Literal["catalog"] = Field(description="a catalog")
    path: Path = Field(description="of the catalog, a CSV or Parquet file")


class SplitSection(Section):
    """The one split that all networks share."""

    protocol: Annotated[Protocol, BeforeValidator(lambda value: Protocol.parse(str(value)))] = Field(
        Protocol.GROUPED,
        description="grouped: lesions and near-duplicates stay together; thesis: images at random, as its scripts; "
        "external: whole sources are the test subset",
    )
    folds: int = Field(3, ge=2, description="into which all images outside test and calibration are divided")
    test: Fraction = Field(0.2, description="share of the images; not read by the external protocol")
    calibration: Fraction = Field(
        0, description="grouped: share of the images kept from all networks, to calibrate the ensemble on"
    )
    test_sources: tuple[str, ...] = Field((), description="external: the sources that are the test subset")
    seed: int = Field(42, description="of the division")
    duplicates: bool = Field(True, description="keep near-duplicates in one subset; not read by the thesis protocol")
    path: Path | None = Field(None, description="a split made by `selcn split`; all other keys are then its own")

    @model_validator(mode="after")
    def _sources_are_named_or_not(self) -> Self:
        if (self.protocol is Protocol.EXTERNAL) != bool(self.test_sources):
            raise ValueError("test_sources goes with protocol external, and only with it")
        if self.calibration and self.protocol is not Protocol.GROUPED:
            raise ValueError("calibration goes with protocol grouped, and only with it")
        if self.test + self.calibration >= 1:
            raise ValueError("test and calibration leave no image for the folds; lower one of them")
        return self


class PrepareSection(Section):
    """How images are prepared for the store, and a new image for prediction."""

    size: Size = (256, 192)
    hair: Hair = Field(
        True, description="remove hair first; thesis with red and blue swapped in the grey image, as its scripts did"
    )
    store: Path | None = Field(None, description="a store made by `selcn prepare` of this size, to be used where it is")


class BundleSection(Section):
    """What is kept in the run's bundle."""

    share: tuple[str, ...] = Field((), description="networks of which the first member's serve all members")
    half: bool = Field(False, description="store the weights in 16 bits; they are computed with in 32")


class EvaluationSection(Section):
    """Conventions of some metrics; those of the thesis repeat its published numbers."""

    deviation: Literal["n-1", "n"] = Field("n-1", description="denominator of the variance over n folds; thesis: n")
    ties: Literal["probability", "alphabetical"] = Field(
        "probability", description="of the members' votes: to the largest mean probability; thesis: alphabetical"
    )
    dilation: Literal["centred", "thesis"] = Field(
        "centred", description="of the mask that saliency is compared with at 224 pixels: +-10; thesis: -10 to +12"
    )


class AugmentSection(Section):
    """Ranges from which the augmentation of a training image's geometry and colour is sampled."""

    rotation: float = Field(180, ge=0, le=180, description="degrees to either side")
    zoom: Fraction = Field(0.15, description="0.15 draws scales from 1/1.15 to 1.15")
    shift: Fraction = Field(0.05, description="share of the width and height")
    flip: bool = Field(True, description="mirror half of the images")
    colour: Fraction = Field(0.15, description="share by which brightness, contrast, saturation and tint vary")
