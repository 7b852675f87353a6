"""A bundle's networks in PyTorch."""

import numpy as np
import torch
from torch import Tensor

from selcn.data.datasets import as_floats
from selcn.errors import ConfigError
from selcn.inference.result import Outputs
from selcn.models.cascade import CascadeOutput, Ensemble


class TorchEngine:
    """Runs an ensemble, on the CPU or on a GPU.

    Args:
        ensemble: the networks.
        device: where they run.

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
    def forward(self, images: Tensor) -> CascadeOutput:
        """Prepared images, uint8 (N, 3, H, W), to the averaged output of all members, on the CPU."""
        output = self.ensemble(as_floats(images.to(self.device)))
        return CascadeOutput(*(part.cpu() for part in output))

    def __call__(self, prepared: np.ndarray) -> Outputs:
        """What is said of prepared pictures, uint8 RGB (N, H, W, 3)."""
        output = self.forward(torch.from_numpy(prepared).permute(0, 3, 1, 2))
        return Outputs(*(part[:, 0].numpy() if part.ndim == 4 else part.numpy() for part in output))
