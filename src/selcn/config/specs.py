"""What a network is: the architecture and inputs of one, with which its weights predict; a validated model a task."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PositiveInt, SerializationInfo, model_validator

from selcn.config.sections import IMAGE_AND_MASK, Section, Size
from selcn.labels import LABEL_SETS, MIRROR, NO_MASKING, Control, Fusion, LabelSet, parse_label_set
from selcn.labels.metadata import NEVER

FULL = "full"
"""Serialisation context under which label sets are written in full, as in bundles, instead of by name."""


def _dump_label_set(labels: LabelSet, info: SerializationInfo) -> Any:  # noqa: ANN401 - a name or a mapping
    full = bool(info.context and info.context.get(FULL))
    if not full and LABEL_SETS.get(labels.name) == labels:
        return labels.name
    classes = [
        {"name": one.name, "long_name": one.long_name, "malignant": one.malignant, "aliases": list(one.aliases)}
        for one in labels.classes
    ]
    return {"name": labels.name, "classes": classes, "column": labels.column, "ordinal": labels.ordinal}


Labels = Annotated[
    Annotated[Any, BeforeValidator(parse_label_set), PlainSerializer(_dump_label_set)],
    Field(description="a built-in label set, or a list of classes"),
]
MaskingName = Annotated[str, BeforeValidator(lambda value: str(value).lower())]
AnyCaseFusion = Annotated[Fusion, BeforeValidator(lambda value: Fusion.parse(str(value)))]
Backbone = Annotated[
    str, Field(min_length=1, description="squeezenet1_0, squeezenet1_1, torchvision/NAME, a timm name, or mirror")
]
Weights = Annotated[
    str | None, Field(description="null, imagenet, or a state dict of timm or torchvision as a safetensors file")
]


def _refuse_confirmation(field: object) -> object:
    if field in NEVER:
        raise ValueError(f"{field} says how a diagnosis was confirmed and so predicts it; leave it out")
    return field


DECODERS = ("unet", "unetplusplus", "manet")
"""Architectures whose decoder is given by the channels of its stages."""
MetadataField = Annotated[Literal["age", "sex", "site"], BeforeValidator(_refuse_confirmation)]


class SegmenterSpec(Section):
    """The architecture of a segmentation network: with its weights, all that prediction needs."""

    task: Literal["segmentation"] = Field("segmentation", description="the lesion's mask from an image")
    architecture: str = Field(
        "DeepLabV3Plus", description="of segmentation_models_pytorch, plain-unet or thesis-deeplabv3plus"
    )
    encoder: str = Field("resnet18", description="of segmentation_models_pytorch; tu-NAME is timm's")
    decoder: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="channels of the decoder's stages, from the deepest on, of Unet, UnetPlusPlus and MAnet",
    )
    size: Size | None = Field(None, description="the network's input; null takes that of the prepared images")
    flips: bool = Field(
        False,
        exclude_if=lambda value: not value,
        description="average over the image, its mirror, its flip and both",
    )
    largest_region: bool = Field(
        False, exclude_if=lambda value: not value, description="keep of each mask its largest region alone"
    )

    @model_validator(mode="after")
    def _decoder_has_stages(self) -> Self:
        if self.decoder and self.architecture.lower() not in DECODERS:
            raise ValueError(f"decoder goes with the architectures {', '.join(DECODERS)}; leave it out")
        return self


class ClassifierSpec(Section):
    """The architecture and inputs of a classification network: with its weights, all that prediction needs."""

    task: Literal["classification"] = Field("classification", description="classes from an image and what it reads")
    labels: Labels
    backbone: Backbone = "efficientnet_b4"
    reduction: Literal[4, 8, 16, 32] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="pixels to one position of the features: timm's network ends behind its last stage of that many",
    )
    head: Literal["linear", "squeezenet"] = Field(
        "linear", description="squeezenet: its own 1x1 convolution and ReLU, of the SqueezeNet backbones"
    )
    size: Size | None = Field(
        None, description="the network's input; null takes that of the prepared images, of a transformer its own"
    )
    masking: MaskingName = Field(NO_MASKING, description="what of the image it sees, given the lesion's mask")
    input: Literal["image", "image+mask"] = Field(
        "image", description="image+mask: the lesion's mask as fourth channel of the first convolution"
    )
    reads: dict[str, AnyCaseFusion] = Field({}, description="earlier networks whose saliency or mask it reads, and how")
    control: Control | None = Field(None, description="what is read in place of the saliency, for comparison")
    saliency: str = Field("grad-cam++", description="the method of the map that it answers with and hands on")
    flips: bool = Field(False, description="average over the image, its mirror, its flip and both")
    metadata: tuple[MetadataField, ...] = Field(
        (), exclude_if=lambda value: not value, description="what it reads beside the image: age, sex, site"
    )
    metadata_control: Control | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="what is read in place of the metadata, for comparison",
    )
    measures: bool = Field(
        False,
        description="whether the lesion's symmetry, measured on the masked image, stands beside its own features",
    )

    @property
    def measured(self) -> bool:
        """Whether its classes follow from the measured symmetry alone, so that it is fitted and not trained."""
        return self.backbone == MIRROR

    @property
    def takes_mask(self) -> bool:
        """Whether the lesion's mask is an input of it, beside the image."""
        return self.measures or self.measured

    @property
    def needs_mask(self) -> bool:
        """Whether it takes the lesion's mask, beside its image or as a channel of it, or its image is masked by it."""
        return self.takes_mask or self.masking != NO_MASKING or self.input == IMAGE_AND_MASK

    @model_validator(mode="before")
    @classmethod
    def _own_map(cls, tree: Any) -> Any:  # noqa: ANN401 - whatever was configured
        """The map of a measured network is measured too."""
        return {"saliency": MIRROR, **tree} if isinstance(tree, dict) and tree.get("backbone") == MIRROR else tree

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.control and not self.reads:
            raise ValueError("control stands in place of saliency; it goes with reads")
        if self.metadata_control and not self.metadata:
            raise ValueError("metadata_control stands in place of metadata; it goes with metadata")
        if len(set(self.metadata)) < len(self.metadata):
            raise ValueError("metadata names a column twice; name each once")
        if self.head == "squeezenet" and (self.reads or not self.backbone.startswith("squeezenet")):
            raise ValueError("head squeezenet goes with a SqueezeNet backbone that reads nothing; use head linear")
        if self.head == "squeezenet" and self.measures:
            raise ValueError("measures stand beside the features of a linear head; use head linear")
        more = self.masking != NO_MASKING or self.input == IMAGE_AND_MASK or self.reduction
        if self.measured and (self.reads or self.measures or self.flips or self.metadata or more):
            raise ValueError(
                "backbone mirror measures the whole image; leave all other inputs, flips, masking and reduction out"
            )
        if (self.saliency.lower() == MIRROR) != self.measured:
            raise ValueError("saliency mirror is the map of backbone mirror, which has no other; leave saliency out")
        return self


ModelSpec = Annotated[SegmenterSpec | ClassifierSpec, Field(discriminator="task")]
SPEC_KEYS: dict[str, tuple[str, ...]] = {
    "segmentation": tuple(SegmenterSpec.model_fields),
    "classification": tuple(ClassifierSpec.model_fields),
}
"""Keys of a specification by task."""
WRITTEN_KEYS = {
    "segmentation": tuple(key for key, field in SegmenterSpec.model_fields.items() if not field.exclude_if),
    "classification": tuple(key for key, field in ClassifierSpec.model_fields.items() if not field.exclude_if),
}
"""Those that are written whatever their value."""
