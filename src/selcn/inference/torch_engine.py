"""A bundle's networks in PyTorch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from selcn.data.datasets import as_floats
from selcn.errors import ConfigError
from selcn.inference.given import MASK, METADATA, Floats, GivenArrays, saliency_name
from selcn.inference.result import Outputs
from selcn.labels.metadata import WIDTH
from selcn.models.cascade import Cascade, Known, Pass
from selcn.models.ensemble import Ensemble, combine


class TorchEngine:
    """Runs an ensemble on the CPU or on a GPU.

    Args:
        ensemble: the networks.
        device: to run on: `cpu`, `cuda`, `cuda:1` ...

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(self, ensemble: Ensemble, device: str | torch.device = "cpu") -> None:
        try:
            self.device = torch.device(device)
            self.ensemble = ensemble.to(self.device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device {device}: cannot be used ({str(error).splitlines()[0]}); use cpu") from None
        self.ensemble.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._shapes: dict[tuple[int, int], dict[str, tuple[int, ...]]] = {}

    def given_shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Shape of one image's value of each result that can be given, by its name.

        Args:
            size: width and height of prepared images.
        """
        if size not in self._shapes:
            found = self(np.zeros((1, size[1], size[0], 3), np.uint8))  # the grids of saliency follow from a pass
            masks = {} if found.lesion is None else {MASK: found.lesion.shape[1:]}
            maps = {saliency_name(name): one.shape[1:] for name, one in found.saliency.items()}
            self._shapes[size] = {**masks, **dict.fromkeys(found.saliency, ()), **maps, METADATA: (WIDTH,)}
        return self._shapes[size]

    @torch.inference_mode()
    def __call__(self, prepared: np.ndarray, given: GivenArrays | None = None) -> Outputs:
        """Predict prepared images.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            given: results in place of which nothing is predicted.
        """
        return self.outputs(self.passes(prepared, given), given)

    @torch.inference_mode()
    def passes(self, prepared: np.ndarray, given: GivenArrays | None = None) -> list[tuple[Cascade, Pass]]:
        """Each member with its pass on prepared images.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            given: results in place of which nothing is predicted.
        """
        return self.ensemble.passes(self._floats(prepared), self._known(given or GivenArrays()))

    @torch.inference_mode()
    def outputs(self, passes: Sequence[tuple[Cascade, Pass]], given: GivenArrays | None = None) -> Outputs:
        """The average of the members' passes.

        Args:
            passes: see `passes`.
            given: what was given of the images.
        """
        output = combine(passes, self._known(given or GivenArrays()))
        return Outputs(
            None if output.lesion is None else output.lesion[:, 0].cpu().numpy(),
            {name: one.cpu().numpy() for name, one in output.probabilities.items()},
            {name: one[:, 0].cpu().numpy() for name, one in output.saliency.items()},
            output.distance.cpu().numpy(),
        )

    @torch.inference_mode()
    def segment(self, prepared: np.ndarray) -> Floats:
        """Probability that a pixel is lesion, float32 (N, H, W); of a bundle with a segmentation network.

        Args:
            prepared: uint8 RGB (N, H, W, 3).
        """
        lesion: Floats = self.ensemble.segment(self._floats(prepared))[:, 0].cpu().numpy()
        return lesion

    def _floats(self, prepared: np.ndarray) -> Tensor:
        return as_floats(torch.from_numpy(prepared).permute(0, 3, 1, 2).to(self.device))

    def _known(self, given: GivenArrays) -> Known:
        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(self.device)

        return Known(
            None if given.masks is None else tensor(given.masks)[:, None],
            {name: tensor(one) for name, one in given.classes.items()},
            {name: tensor(one)[:, None] for name, one in given.saliency.items()},
            None if given.metadata is None else tensor(given.metadata),
        )
