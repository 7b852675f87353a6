"""A bundle as a model of MLflow, which predicts what `selcn predict` does; nothing of it is pickled."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import selcn
from selcn.data.imaging.read import decode_frames
from selcn.errors import DataError
from selcn.inference.bundle import Engine
from selcn.inference.hub import locate_bundle
from selcn.inference.predictor import Predictor, load
from selcn.inference.row import Row, file_rows, flatten

IMAGE = "image"
"""Column of a model's input: the bytes of an image's file, in base64 over HTTP."""
_CODE = (
    "from mlflow.models import set_model\nfrom selcn.inference.pyfunc import BundleModel\nset_model(BundleModel())\n"
)


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]  # untyped
    """A bundle behind MLflow's interface.

    Attributes:
        predictor: of the bundle, once MLflow has loaded the model.
    """

    predictor: Predictor

    def load_context(self, context: Any) -> None:  # noqa: ANN401 - of an untyped library
        """Verify and load the bundle.

        Args:
            context: of MLflow, with the bundle's folder and the engine.
        """
        self.predictor = load(context.artifacts["bundle"], engine=context.model_config["engine"])

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002 - of an untyped library
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """A row an image, with the columns of `selcn predict --table csv`; `image` is its number in the input.

        Args:
            context: of MLflow.
            model_input: the images, in the column `image`.
            params: none are known.
        """
        rows = [row for number, data in enumerate(model_input[IMAGE]) for row in self._rows(str(number), data)]
        return pd.DataFrame([flatten(row, self.predictor.config) for row in rows])

    def _rows(self, name: str, data: bytes) -> list[Row]:
        try:
            return file_rows(name, self.predictor.predict_batch(decode_frames(data, Path(name))))
        except DataError as error:
            return file_rows(name, error)


def save_model(bundle: str | Path, out: Path, *, engine: str = Engine.TORCH) -> None:
    """Write a bundle as a folder that `mlflow.pyfunc.load_model` reads and `mlflow models serve` serves.

    Args:
        bundle: its folder, or `hf://owner/name@revision`.
        out: folder to make.
        engine: that predicts, a name of `selcn.inference.bundle.Engine`.
    """
    needs = "selcn[torch]" if engine == Engine.TORCH else "selcn"
    folder = locate_bundle(bundle, engine)
    with TemporaryDirectory() as scratch:
        code = Path(scratch) / "model.py"
        code.write_text(_CODE, encoding="utf-8")
        mlflow.pyfunc.save_model(
            path=str(out),
            python_model=str(code),
            artifacts={"bundle": str(folder)},
            model_config={"engine": str(engine)},
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.binary, IMAGE)])),
            pip_requirements=[f"{needs}=={selcn.__version__.partition('+')[0]}"],
        )
