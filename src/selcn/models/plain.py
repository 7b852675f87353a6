"""A classifier as the state dict of its library's own network, for use without selcn."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision.models as tv
from safetensors.torch import save_file
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.models.backbones import TORCHVISION, from_torchvision
from selcn.models.classifier import Classifier
from selcn.models.timm_backbones import create_timm, input_size

FOLDER = "plain"
_TIMM = "network."  # before timm's own keys, in a backbone
_PROBE = (128, 96)
_TOLERANCE = 1e-4


def write_plain(folder: Path, networks: Sequence[nn.Module], spec: SegmenterSpec | ClassifierSpec) -> list[str]:
    """Write the plain state dict of each member's network, and return the files relative to the folder.

    Args:
        folder: of a bundle.
        networks: of the members, in order.
        spec: of the network.

    Raises:
        ConfigError: the network reads saliency or metadata, is no classifier, or has no equal in its library.
    """
    if not isinstance(spec, ClassifierSpec):
        raise ConfigError("--plain: a segmentation network has no plain state dict; leave --plain out")
    if spec.reduction:
        raise ConfigError("--plain: the network ends before its library's own does; leave --plain out")
    if spec.takes_mask:
        raise ConfigError("--plain: the network measures symmetry, which no plain network does; leave --plain out")
    if spec.reads:
        reads = ", ".join(spec.reads)
        raise ConfigError(
            f"--plain: the network reads the saliency of {reads}, which no plain network does; leave it out"
        )
    if spec.metadata:
        raise ConfigError("--plain: the network reads metadata, which no plain network does; leave it out")
    if spec.input != "image":
        raise ConfigError(
            "--plain: the network takes the mask as fourth channel, which no plain network does; leave it out"
        )
    (folder / FOLDER).mkdir()
    files = [f"{FOLDER}/member-{number}.safetensors" for number in range(len(networks))]
    for file, network in zip(files, networks, strict=True):
        assert isinstance(network, Classifier)
        save_file(plain_state(network, spec), folder / file)
        (folder / file).chmod(0o644)  # safetensors makes the file private to its owner, whatever the umask
    return files


def plain_state(network: Classifier, spec: ClassifierSpec) -> dict[str, Tensor]:
    """The state dict with which the library's own network gives the same logits for normalised images.

    Args:
        network: that reads nothing.
        spec: of it.

    Raises:
        ConfigError: the library's network has other layers behind the features.
    """
    classes, body = len(spec.labels.classes), network.backbone.body
    plain = _create(spec.backbone, classes, network.size)
    state = {key.removeprefix(_TIMM): value for key, value in body.state_dict().items()}
    shapes = {key: value.shape for key, value in plain.state_dict().items()}
    head = sorted(shapes.keys() - state.keys())
    layer: nn.Module = network.head.conv if spec.head == "squeezenet" else network.head.linear  # type: ignore[assignment]
    own = layer.state_dict()
    for key in head:
        value = own.get(key.rpartition(".")[2])
        if value is not None and value.numel() == shapes[key].numel():
            state[key] = value.reshape(shapes[key])
    state = {key: value.cpu().clone().contiguous() for key, value in state.items()}
    if {key: value.shape for key, value in state.items()} != shapes or not _equal(plain, state, network):
        raise ConfigError(
            f"--plain: the library's own {spec.backbone} has other layers behind its features than this network; leave "
            "--plain out, or take `selcn export`"
        )
    return state


def plain_lines(spec: ClassifierSpec, file: str) -> list[str]:
    """The Python that loads a plain state dict.

    Args:
        spec: of the network.
        file: path of the state dict.
    """
    classes = len(spec.labels.classes)
    torchvision = from_torchvision(spec.backbone)
    library = "torchvision" if torchvision else "timm"
    create = "torchvision.models.get_model" if torchvision else "timm.create_model"
    size = f", img_size={spec.size[::-1]}" if spec.size and input_size(spec.backbone) else ""
    return [
        f"import {library}, safetensors.torch",
        f'model = {create}("{spec.backbone.removeprefix(TORCHVISION)}", num_classes={classes}{size}).eval()',
        f'model.load_state_dict(safetensors.torch.load_file("{file}"))',
    ]


def _create(backbone: str, classes: int, size: tuple[int, int] | None) -> nn.Module:
    if from_torchvision(backbone):
        created: nn.Module = tv.get_model(backbone.removeprefix(TORCHVISION), num_classes=classes)
        return created
    network: nn.Module = create_timm(backbone, size if input_size(backbone) else None, num_classes=classes)
    return network


@torch.no_grad()
def _equal(plain: nn.Module, state: dict[str, Tensor], network: Classifier) -> bool:
    """Whether the library's network with these weights gives the same logits of a random normalised image."""
    plain.load_state_dict(state)
    width, height = network.size or _PROBE
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    own = network.eval().head(network.backbone.body(image)).logits
    return torch.allclose(plain.eval()(image), own, rtol=_TOLERANCE, atol=_TOLERANCE)
