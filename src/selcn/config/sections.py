"""What a run is configured by: one frozen, validated model a stage; unknown keys are refused."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from selcn.labels import Control, Fusion, Masking, Protocol

Fraction = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[
    tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]],
    Field(description="width and height in pixels"),
]
AnyCaseMasking = Annotated[Masking, BeforeValidator(lambda value: Masking.parse(str(value)))]
ConvNet = Annotated[
    str, Field(min_length=1, description="squeezenet1_0, squeezenet1_1, torchvision/NAME or a timm name")
]
Schedule = Literal["constant", "poly", "cosine", "one-cycle"]
Weights = Annotated[str | None, Field(description="null, imagenet, or the path of a safetensors file")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhantomSource(_Section):
    """A synthetic data set, drawn into the run folder."""

    source: Literal["phantom"]
    images: int = Field(600, ge=1)
    seed: int = 7


class Ham10000Source(_Section):
    """HAM10000 as published, symmetry labels joined by image."""

    source: Literal["ham10000"]
    paths: tuple[Path, ...] = Field(min_length=1)
    symmetry: Path | None = None
    lesions: int | None = Field(None, ge=1, description="draw about this many lesions, classes as even as there are")
    seed: int = 42


class CatalogSource(_Section):
    """A catalog made by `selcn index` or by hand."""

    source: Literal["catalog"]
    path: Path


class SplitSection(_Section):
    """The one split that serves all three stages."""

    protocol: Annotated[Protocol, BeforeValidator(lambda value: Protocol.parse(str(value)))] = Protocol.GROUPED
    folds: int = Field(3, ge=2)
    test: Fraction = Field(0.2, description="share of the images; not read by the external protocol")
    test_sources: tuple[str, ...] = Field((), description="external: the sources that are the test part")
    seed: int = 42
    duplicates: bool = Field(True, description="keep pictures that look alike in one part; not read by the thesis")
    path: Path | None = Field(None, description="a split made by `selcn split`; all other keys are then its own")

    @model_validator(mode="after")
    def _sources_are_named_or_not(self) -> Self:
        if (self.protocol is Protocol.EXTERNAL) != bool(self.test_sources):
            raise ValueError("test_sources goes with protocol external, and only with it")
        return self


class PrepareSection(_Section):
    """How images enter the store, and how a new image is prepared for prediction."""

    size: Size = (256, 192)
    hair: bool = True
    store: Path | None = Field(None, description="a store made by `selcn prepare` of this size, to be used where it is")


class AugmentSection(_Section):
    """Ranges that a training image's geometry and colour are drawn from."""

    rotation: float = Field(180, ge=0, le=180, description="degrees to either side")
    zoom: Fraction = Field(0.15, description="0.15 draws scales from 1/1.15 to 1.15")
    shift: Fraction = Field(0.05, description="share of the width and height")
    flip: bool = True
    colour: Fraction = Field(0.15, description="share by which brightness, contrast, saturation and tint vary")


class _Training(_Section):
    epochs: int = Field(100, ge=1)
    patience: int = Field(10, ge=1)
    monitor: Literal["loss", "score"] = "loss"
    batch: int = Field(16, ge=1, description="images a batch, of all devices together")
    accumulate: int = Field(1, ge=1, description="batches an optimiser's step")
    optimiser: Literal["adam", "adamw"] = "adam"
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Schedule = "constant"
    warmup: Fraction = Field(0, description="share of the steps in which lr rises to its value; one-cycle has its own")
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    ema: Fraction = Field(0, description="decay of the averaged weights that are validated and kept, 0 for none")
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32", description="auto is bfloat16 on GPUs that have it, else float32"
    )
    compile: bool = False
    size: Size | None = Field(None, description="the network's input; null takes the store's size")
    augment: AugmentSection = AugmentSection()

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.schedule == "one-cycle" and self.warmup:
            raise ValueError("warmup: one-cycle has its own; leave it out or take another schedule")
        return self


class SegmentationSection(_Training):
    """Stage 1: image to lesion mask."""

    monitor: Literal["loss", "score"] = "score"
    lr: float = Field(1e-3, gt=0)
    schedule: Schedule = "poly"
    architecture: str = "DeepLabV3Plus"
    encoder: str = "resnet18"
    weights: Weights = None
    rank_weight: float = Field(0.05, ge=0)


class Recipe(_Section):
    """Keys of a labelled stage that may differ from one masking or fusion to another; null keeps the stage's own."""

    epochs: int | None = Field(None, ge=1)
    patience: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    weighted: bool | None = None
    dropout: Fraction | None = None


class _Labelled(_Training):
    weighted: bool = Field(False, description="weight the loss by inverse class frequency")
    balance: int | None = Field(None, ge=1, description="images of each class in an epoch, as far as copies reach")
    label_smoothing: Fraction = 0
    mix: Literal["mixup", "cutmix"] | None = None
    mix_alpha: float = Field(0.2, gt=0, description="of the beta distribution that shares are drawn from")

    def _by(self, recipe: Recipe | None) -> Self:
        return self if recipe is None else self.model_copy(update=recipe.model_dump(exclude_none=True))


class SymmetrySection(_Labelled):
    """Stage 2: masked image to symmetry."""

    backbone: ConvNet = "squeezenet1_0"
    weights: Weights = None
    classes: Literal[2, 3] = 2
    dropout: Fraction = 0.5
    by_mask: dict[AnyCaseMasking, Recipe] = Field({}, description="what differs for a masking")

    def of(self, masking: Masking) -> Self:
        """The section as it is for one masking."""
        return self._by(self.by_mask.get(masking))


class Variant(_Section):
    """One lesion classifier: what it sees, and whether and how it reads the symmetry saliency."""

    fusion: Fusion = Fusion.NONE
    mask: AnyCaseMasking = Masking.NONE
    cam_mask: AnyCaseMasking | None = Field(None, description="masking of the symmetry network whose saliency is read")
    control: Control | None = Field(
        None, description="what is read in place of the saliency, to see what that is worth"
    )

    @model_validator(mode="after")
    def _saliency_is_read_or_not(self) -> Self:
        if (self.fusion is Fusion.NONE) != (self.cam_mask is None):
            raise ValueError("cam_mask goes with fusion concat or attention, and only with them")
        if self.control and self.fusion is Fusion.NONE:
            raise ValueError("control stands in place of saliency; give it with fusion concat or attention")
        return self

    @property
    def name(self) -> str:
        """The variant's folder and file name, for example `se-lcn-none-lae`."""
        kind = {Fusion.NONE: "standalone", Fusion.CONCAT: "se-lcn", Fusion.ATTENTION: "attention"}[self.fusion]
        return "-".join(filter(None, (kind, self.mask, self.cam_mask, self.control)))


class ClassificationSection(_Labelled):
    """Stage 3: masked image and symmetry saliency to diagnosis."""

    backbone: ConvNet = "efficientnet_b4"
    weights: Weights = None
    dropout: Fraction = 0.4
    weighted: bool = True
    flips: bool = Field(False, description="average the diagnosis over the image, its mirror, its flip and both")
    by_fusion: dict[Fusion, Recipe] = Field({}, description="what differs for a fusion")
    variants: tuple[Variant, ...] = Field(
        (Variant(), Variant(fusion=Fusion.CONCAT, cam_mask=Masking.NONE)), min_length=1
    )

    def of(self, variant: Variant) -> Self:
        """The section as it is for one variant."""
        return self._by(self.by_fusion.get(variant.fusion))

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(
                f"variants are listed twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
            )
        return self


class RunConfig(_Section):
    """The whole cascade, from data to figures."""

    seed: int = 0
    data: PhantomSource | Ham10000Source | CatalogSource = Field(discriminator="source")
    split: SplitSection = SplitSection()
    prepare: PrepareSection = PrepareSection()
    segmentation: SegmentationSection = SegmentationSection()
    symmetry: SymmetrySection = SymmetrySection()
    classification: ClassificationSection = ClassificationSection()
    resamples: int = Field(2000, ge=100, description="bootstrap resamples of each interval")

    @property
    def cam_masks(self) -> list[Masking]:
        """The maskings for which a symmetry network is wanted: those whose saliency a variant reads, else `none`."""
        wanted = {variant.cam_mask for variant in self.classification.variants if variant.cam_mask}
        return [masking for masking in Masking if masking in (wanted or {Masking.NONE})]
