"""What an answer looks like, for those who read or generate code from the interface's description."""

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lesion(_Strict):
    """Where the lesion is, in the picture's own pixels."""

    found: bool
    share: float = Field(ge=0, le=1, description="Of the picture.")
    box: tuple[int, int, int, int] = Field(description="x, y, width, height; grown by 20 % on every side.")
    outline: list[tuple[int, int]] = Field(description="x and y along the border of the largest lesion region.")


class Judged(_Strict):
    """What one network says."""

    prediction: str = Field(description="The likeliest class.")
    probabilities: dict[str, float] = Field(description="By class.")


class Row(_Strict):
    """What is said of one picture; a picture that could not be read has an `error` and nothing else."""

    image: str = Field(description="The name it was sent under.")
    frame: int | None = Field(None, description="Only of a file with several.")
    error: str | None = Field(None, description="Why it could not be read.")
    width: int | None = None
    height: int | None = None
    lesion: Lesion | None = None
    symmetry: Judged | None = None
    diagnosis: Judged | None = Field(None, description="Calibrated.")
    abstain: bool | None = Field(None, description="The likeliest diagnosis is too improbable to rely on.")
    warnings: list[str] | None = Field(None, description="What else speaks against relying on it.")
    distance: float | None = Field(None, description="From the training pictures; about 1 is usual.")
    symmetry_saliency: list[list[float]] | None = Field(None, description="Grad-CAM++ of the predicted class, 0 to 1.")
    diagnosis_saliency: list[list[float]] | None = Field(None, description="Likewise, of the diagnosis.")
    overlay: str | None = Field(None, description="A JPEG as a data URI; with `pictures=true`.")
    mask: str | None = Field(None, description="A PNG as a data URI; with `pictures=true`.")


class Answer(_Strict):
    """Of a request."""

    notice: str
    predictions: list[Row] = Field(description="In the order of the pictures, frames one after the other.")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str
