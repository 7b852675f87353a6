"""What an answer looks like, for those who read or generate code from the interface's description."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from selcn.inference.bundle import BundleConfig
from selcn.inference.result import row_model


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Model(_Strict):
    """Which model answered."""

    name: str = Field(description="Of the bundle.")
    hash: str = Field(description="SHA-256 of the bundle's manifest.")
    engine: str = Field(description="What runs the networks.")
    selcn: str = Field(description="Version of selcn.")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str


def answer_model(config: BundleConfig) -> type[BaseModel]:
    """The type of the answer to a request, for a bundle."""
    rows: Any = list[row_model(config)]  # type: ignore[misc]  # a type that is made here
    return create_model(
        "Answer",
        __base__=_Strict,
        notice=(str, ...),
        model=(Model, ...),
        predictions=(rows, Field(description="In the order of the images, frames one after the other.")),
    )
