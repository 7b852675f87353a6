"""Images per second of Grad-CAM++ of a ViT-S/16 at 224 pixels, batch 16: closed form, and the grad-cam package.

The package takes the features of the last block's first norm through a reshape transform, as its documentation shows
for vision transformers; selcn takes the same layer. Random weights; medians over alternated repeats.
"""

import copy

import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor

from selcn.models.classifier import Classifier
from selcn.models.explained import explain
from timing import medians

NETWORK, BATCH, SIDE, GRID, REPEATS = "vit_small_patch16_224", 16, 224, 14, 5


def reshape(tokens: Tensor) -> Tensor:
    """Tokens of patches (N, 1 + G * G, C) as a map (N, C, G, G)."""
    return tokens[:, 1:].reshape(len(tokens), GRID, GRID, -1).permute(0, 3, 1, 2)


def measure() -> dict[str, float]:
    """Images per second of both, and their ratio."""
    torch.manual_seed(0)
    network = Classifier(NETWORK, 7, size=(SIDE, SIDE)).eval()
    twin = copy.deepcopy(network)
    layer = next(module for name, module in twin.named_modules() if name.endswith("blocks.11.norm1"))
    images = torch.rand(BATCH, 3, SIDE, SIDE)

    @torch.inference_mode()
    def closed_form() -> Tensor:
        return explain(network.trace(images))

    @torch.inference_mode()
    def forward() -> Tensor:
        logits: Tensor = network(images)
        return logits

    with GradCAMPlusPlus(twin, [layer], reshape_transform=reshape) as package:
        works = {"ours": closed_form, "forward": forward, "theirs": lambda: package(images, targets=None)}
        times = medians(works, REPEATS)
    return {
        "closed form, images/s": BATCH / times["ours"],
        "forward pass alone, images/s": BATCH / times["forward"],
        "grad-cam package, images/s": BATCH / times["theirs"],
        "closed form to forward pass alone": times["ours"] / times["forward"],
        "ratio": times["theirs"] / times["ours"],
    }


if __name__ == "__main__":
    print(measure())
