"""How a network is trained, or where it is taken from: one frozen, validated model a task."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from selcn.config import frozen
from selcn.config.sections import (
    AugmentSection,
    Fraction,
    LearningRate,
    Monitor,
    Schedule,
    Section,
)
from selcn.config.specs import SPEC_KEYS, ClassifierSpec, MaskingName, SegmenterSpec, Weights
from selcn.labels import Fusion


class Training(Section):
    """How a network of any task is trained, or the bundle that it is taken from."""

    taken: str | None = Field(
        None, validation_alias="from", description="BUNDLE or BUNDLE#network: taken as it is from there, not trained"
    )
    overlap: bool = Field(
        False, description="whether images that a network of `from` or `init` was trained on may be in the test subset"
    )
    init: str | None = Field(
        None,
        description="BUNDLE#NETWORK, RUN/networks/NETWORK or a network.safetensors file to start from; weights is not "
        "read then",
    )
    weights: Weights = None
    epochs: int = Field(100, ge=1, description="passes over the training images, at most")
    patience: int = Field(10, ge=1, description="epochs without improvement after which training stops")
    monitor: Monitor = "loss"
    batch: int = Field(16, ge=1, description="images a batch, of all devices together")
    accumulate: int = Field(1, ge=1, description="batches an optimiser's step")
    optimiser: Literal["adam", "adamw", "lbfgs"] = Field(
        "adam",
        description="adamw: Adam with weight decay apart from its steps; lbfgs: of a linear probe, all images at once",
    )
    lr: LearningRate = 1e-4
    weight_decay: float = Field(5e-4, ge=0, description="of adam an L2 penalty; of adamw none on biases and scales")
    schedule: Schedule = "constant"
    warmup: Fraction = Field(0, description="share of the steps in which lr rises to its value; one-cycle has its own")
    layer_decay: float | None = Field(
        None, gt=0, le=1, description="factor on lr from each stage of the backbone or encoder to the one before it"
    )
    freeze_epochs: int = Field(
        0, ge=0, description="first epochs in which backbone or encoder, with its batch norms, stays as it is"
    )
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    ema: Fraction = Field(0, description="decay of the averaged weights that are validated and kept, 0 for none")
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32",
        description="auto is bfloat16 on GPUs that have it, and on a CPU that trains this network faster in it; else "
        "float32",
    )
    compile: bool = Field(False, description="compile the network with torch.compile before it is trained")
    augment: AugmentSection = AugmentSection()

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.schedule == "one-cycle" and self.warmup:
            raise ValueError("warmup: one-cycle has its own; leave it out or take another schedule")
        return self

    @model_validator(mode="after")
    def _overlap_has_a_source(self) -> Self:
        if self.overlap and not (self.taken or self.init):
            raise ValueError("overlap goes with from or init")
        return self

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The keys that have a meaning: a taken network has no training settings, a trained one no `from`."""
        tree: dict[str, Any] = handler(self)
        taken = tree.pop("taken")
        if taken is not None:
            return {
                "from": taken,
                "overlap": self.overlap,
                **{key: tree[key] for key in SPEC_KEYS[tree["task"]] if key in tree},
            }
        if self.init is None:
            del tree["overlap"]
        return tree


class SegmentationSection(Training, SegmenterSpec):
    """Architecture and training of a network that maps an image to a lesion mask."""

    monitor: Monitor = "score"
    lr: LearningRate = 1e-3
    schedule: Schedule = "poly"
    loss: Literal["dice", "cross-entropy"] = Field("dice", description="soft Dice, or the cross-entropy of each pixel")
    rank_weight: float = Field(0.05, ge=0, description="of the rank loss, beside the other; 0 leaves it out")

    @model_validator(mode="after")
    def _takes_steps(self) -> Self:
        if self.optimiser == frozen.LBFGS:
            raise ValueError("optimiser lbfgs fits a linear probe, which is a classifier; take adam or adamw")
        return self

    @property
    def spec(self) -> SegmenterSpec:
        """The network without its training settings."""
        return SegmenterSpec(**{name: getattr(self, name) for name in SegmenterSpec.model_fields})


class Recipe(Section):
    """Training settings that may differ between maskings or fusions; null keeps the network's own."""

    epochs: int | None = Field(None, ge=1)
    patience: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    weighted: bool | None = None
    dropout: Fraction | None = None


class ClassificationSection(Training, ClassifierSpec):
    """Architecture and training of a network that maps a masked image, and saliency, to classes of one label set."""

    freeze: bool = Field(
        False, description="keep the backbone as `weights` gives it; fusion and head are trained on stored features"
    )
    fusion_start: Literal["identity", "random"] = Field(
        "identity", description="of the E-layer: the features as they are, or, as in the thesis, random weights"
    )
    dropout: Fraction = Field(0.4, description="share of features dropped before the last layer in training")
    metadata_dropout: Fraction = Field(
        0.1, description="share of the metadata's values that are missing in training, so that they may be in use"
    )
    weighted: bool = Field(False, description="weight the loss by inverse class frequency")
    balance: int | None = Field(None, ge=1, description="images of each class in an epoch, as far as copies reach")
    adjusted: bool = Field(
        False,
        description="add the log of class frequencies to the logits in the loss, so that the network answers as if all "
        "classes were equally frequent",
    )
    label_smoothing: Fraction = Field(0, description="share of a label that is spread evenly over all classes")
    mix: Literal["mixup", "cutmix"] | None = Field(None, description="mix images by pairs: blended, or a box pasted")
    mix_alpha: float = Field(0.2, gt=0, description="of the beta distribution that shares are sampled from")
    masks: Literal["predicted", "true"] = Field(
        "predicted", description="true: the catalog's masks for training and for this run's predictions, to compare"
    )
    by_masking: dict[MaskingName, Recipe] = Field({}, description="what differs for a masking")
    by_fusion: dict[Literal["none", "concat", "attention"], Recipe] = Field(
        {},
        description="what differs for a fusion, that of the first network read; none is for what reads nothing",
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_frozen(cls, tree: Any) -> Any:  # noqa: ANN401 - any input of a model
        return frozen.with_defaults(tree) if isinstance(tree, dict) else tree

    @model_validator(mode="after")
    def _can_be_frozen(self) -> Self:
        if self.freeze and not self.taken:
            frozen.check_frozen(self)
        if self.optimiser == frozen.LBFGS and not self.taken:
            frozen.check_probe(self)
        return self

    @model_validator(mode="after")
    def _can_be_trained_so(self) -> Self:
        recipes = [*self.by_masking.values(), *self.by_fusion.values()]
        if self.adjusted and (self.weighted or self.balance or any(one.weighted for one in recipes)):
            raise ValueError("adjusted evens classes out by itself; leave weighted and balance out")
        if self.adjusted and self.measured:
            raise ValueError("backbone mirror is fitted; take weighted in place of adjusted")
        if self.fusion_start != "identity" and Fusion.CONCAT not in self.reads.values():
            raise ValueError("fusion_start is of the E-layer; it goes with reads by concat")
        if self.measured and self.freeze:
            raise ValueError("backbone mirror has no features to freeze; leave freeze out")
        if self.measured and self.init:
            raise ValueError("backbone mirror is fitted, not trained; leave init out, or take `from`")
        if self.measures and self.mix:
            raise ValueError("a mixed image has no symmetry to measure; leave mix out beside measures")
        if self.masks == "true" and not self.needs_mask:
            raise ValueError("masks: true goes with a masking, measures or backbone mirror; leave it out")
        return self

    @property
    def spec(self) -> ClassifierSpec:
        """The network without its training settings."""
        return ClassifierSpec(**{name: getattr(self, name) for name in ClassifierSpec.model_fields})

    @property
    def resolved(self) -> Self:
        """The section with the recipes of its masking and of its fusion applied."""
        fusion = next(iter(self.reads.values())).value if self.reads else "none"
        recipes = (self.by_masking.get(self.masking), self.by_fusion.get(fusion))  # type: ignore[call-overload]
        own = {key: value for one in recipes if one for key, value in one.model_dump(exclude_none=True).items()}
        return self.model_copy(update=own)


NetworkSection = Annotated[SegmentationSection | ClassificationSection, Field(discriminator="task")]
