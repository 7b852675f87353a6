"""Schema of the HTTP interface for OpenAPI; rows follow from the bundle's networks."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field, create_model

from selcn.inference.bundle import BundleConfig
from selcn.inference.row import FILE_KEYS, STRICT, RowKey, bundle_row_keys


class Identity(BaseModel):
    """Bundle, engine and version: the same identity gives the same prediction of the same image."""

    model_config = STRICT

    name: str = Field(description="Of the bundle.")
    hash: str = Field(description="SHA-256 of the bundle's manifest.json, in hexadecimal.")
    engine: str = Field(description="What runs the networks: torch, onnx or onnx-int8.")
    selcn: str = Field(description="Version that runs.")


class ModelAnswer(BundleConfig):
    """The bundle's config.json with its identity."""

    notice: str
    model: Identity


class ModelList(BaseModel):
    """The bundles of a server."""

    notice: str
    models: list[Identity] = Field(description="The default first.")


class Health(BaseModel):
    """Whether a server is up, or ready."""

    status: str


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


def answer_model(config: BundleConfig) -> type[BaseModel]:
    """The response to a prediction request: one row an image, with keys that follow from the bundle's networks.

    Args:
        config: of the bundle.
    """
    keys = {key.name: key for key in bundle_row_keys(config) if key.name not in FILE_KEYS}
    image, error = keys["image"], keys.pop("error")
    row: Any = _model("Row", keys.values(), required={"image"})
    unreadable: Any = _model("Unreadable", [image, error], required={"image", "error"})
    return create_model(
        "Answer",
        __config__=STRICT,
        notice=(str, ...),
        model=(Identity, ...),
        predictions=(
            list[row | unreadable],
            Field(description="In the order of the images, frames one after the other."),
        ),
    )


def _model(name: str, keys: Iterable[RowKey], required: set[str]) -> type[BaseModel]:
    """A model of row keys; those in ``required`` and those that every predicted image has must be present."""
    fields: dict[str, Any] = {}
    for number, key in enumerate(keys):
        default = ... if (key.fill and not key.optional) or key.name in required else None
        # A network's name may be no valid field name, or an attribute of pydantic models.
        fields[f"key_{number}"] = (key.kind, Field(default, alias=key.name, description=key.description))
    return create_model(name, __config__=STRICT, **fields)
