"""A bundle's networks in PyTorch."""

import numpy as np
import torch

from selcn.data.datasets import as_floats
from selcn.errors import ConfigError
from selcn.inference.result import Outputs
from selcn.models.cascade import Ensemble


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

    @torch.inference_mode()
    def __call__(self, prepared: np.ndarray) -> Outputs:
        """Predict prepared images.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
        """
        images = torch.from_numpy(prepared).permute(0, 3, 1, 2).to(self.device)
        output = self.ensemble(as_floats(images))
        return Outputs(
            None if output.lesion is None else output.lesion[:, 0].cpu().numpy(),
            {name: one.cpu().numpy() for name, one in output.probabilities.items()},
            {name: one[:, 0].cpu().numpy() for name, one in output.saliency.items()},
            output.distance.cpu().numpy(),
        )
