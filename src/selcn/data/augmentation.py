"""One drawn geometry for image, mask and saliency; colour for the image only.

What is drawn is apart from how it is applied, and whole batches are drawn and applied at once.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from selcn.config import AugmentSection


@dataclass(frozen=True)
class Geometry:
    """Where each image of a batch is sampled: 2x2 matrices (N, 2, 2) and shifts (N, 2) in half widths of the image.

    The matrices act on pixels, so that a turned circle stays a circle in an oblong image.
    """

    matrix: Tensor
    shift: Tensor

    @classmethod
    def draw(cls, images: int, ranges: AugmentSection, generator: torch.Generator) -> "Geometry":
        """Draw turns, zooms, shifts and mirrorings uniformly from ``ranges``.

        Args:
            images: how many images, N.
            ranges: of the augmentation; only its colour is read.
            generator: source of the random numbers.
        """
        uniform = torch.rand(images, 5, generator=generator) * 2 - 1
        angle = uniform[:, 0] * math.radians(ranges.rotation)
        zoom = (1 + ranges.zoom) ** uniform[:, 1]
        mirror = torch.where(uniform[:, 2] < 0, -1.0, 1.0) if ranges.flip else torch.ones(images)
        cos, sin = zoom * angle.cos(), zoom * angle.sin()
        matrix = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=1).view(images, 2, 2)
        return cls(matrix, uniform[:, 3:] * 2 * ranges.shift)

    def of(self, rows: slice) -> "Geometry":
        """That of some of the images.

        Args:
            rows: which of the N images.
        """
        return Geometry(self.matrix[rows], self.shift[rows])

    def of_copies(self, copy: Tensor) -> "Geometry":
        """This geometry, applied to copies of the images: 0 as it is, 1 mirrored, 2 flipped, 3 turned by a quarter.

        A quarter of an oblong image keeps its shape: what lies beyond the edges is mirrored in.

        Args:
            copy: int64 (N,), 0 to 3.
        """
        return Geometry(_COPIES[copy] @ self.matrix, self.shift)

    def apply(self, maps: Tensor, aspect: float) -> Tensor:
        """Resample maps (N, C, h, w) of images whose width is ``aspect`` times their height.

        Works at any grid: a saliency map of 12x9 turns exactly as the image it belongs to. What lies outside is
        mirrored in, for images and masks alike.

        Args:
            maps: float (N, C, h, w).
            aspect: width over height of the images that the maps belong to.
        """
        scale = torch.tensor([[1.0, 1 / aspect], [aspect, 1.0]])
        theta = torch.cat([self.matrix * scale, self.shift[:, :, None]], dim=2).to(maps.device)
        grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
        return F.grid_sample(maps, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


_COPIES = torch.tensor([[[1, 0], [0, 1]], [[-1, 0], [0, 1]], [[1, 0], [0, -1]], [[0, -1], [1, 0]]]).float()


@dataclass(frozen=True)
class Colour:
    """Factors of each channel (N, 3), brightness and tint together, and of contrast and saturation (N,)."""

    gain: Tensor
    contrast: Tensor
    saturation: Tensor

    @classmethod
    def draw(cls, images: int, ranges: AugmentSection, generator: torch.Generator) -> "Colour":
        """Sample contrast, saturation and brightness from 1 - colour to 1 + colour, and a tint of a third of that.

        Args:
            images: how many images, N.
            ranges: of the augmentation; only its colour is read.
            generator: source of the random numbers.
        """
        uniform = (torch.rand(images, 6, generator=generator) * 2 - 1) * ranges.colour
        return cls(1 + uniform[:, :1] + uniform[:, 1:4] / 3, 1 + uniform[:, 4], 1 + uniform[:, 5])

    def of(self, rows: slice) -> "Colour":
        """That of some of the images.

        Args:
            rows: which of the N images.
        """
        return Colour(self.gain[rows], self.contrast[rows], self.saturation[rows])

    def apply(self, images: Tensor) -> Tensor:
        """Change images (N, 3, H, W) in [0, 1], and clip them back to it.

        Gain, saturation (towards each pixel's grey) and contrast (towards the image's mean grey) are one 3x3 matrix and
        one offset an image, so that pixels are passed over once.

        Args:
            images: float32 (N, 3, H, W) in [0, 1].
        """
        gain, contrast, saturation = (
            part.to(images.device).view(len(images), 1, -1) for part in (self.gain, self.contrast, self.saturation)
        )
        flat = images.reshape(len(images), 3, -1)  # (N, 3, pixels)
        with torch.autocast(images.device.type, enabled=False):  # 16 bits would posterise them
            matrix = (saturation * torch.eye(3, device=images.device) + (1 - saturation) / 3) * gain
            mean = (matrix @ flat.mean(dim=2, keepdim=True)).mean(dim=1, keepdim=True)
            changed = torch.baddbmm((1 - contrast) * mean, contrast * matrix, flat)
        return changed.clamp_(0, 1).view(images.shape)
