"""The segmenter learns, takes any size, and refuses in one line."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor

from selcn.errors import ConfigError
from selcn.models.backbones import Normalise
from selcn.models.losses import mask_loss
from selcn.models.segmenter import ARCHITECTURES, Segmenter

SMALL = "tu-tf_mobilenetv3_small_minimal_100"


def make_discs(size: int = 64) -> tuple[Tensor, Tensor]:
    """Four images of a dark disc on a bright ground, with their masks."""
    position = torch.arange(size).float()
    masks = torch.stack(
        [
            (position - x) ** 2 + (position[:, None] - y) ** 2 < 15**2
            for x, y in ((20, 20), (44, 24), (32, 40), (24, 44))
        ]
    )[:, None].float()
    return (0.8 - 0.5 * masks).expand(-1, 3, -1, -1) + 0.05 * torch.rand(4, 3, size, size), masks


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "Unet", "plain-unet"])
def test_it_fits_a_toy_batch(architecture: str) -> None:
    torch.manual_seed(0)
    images, masks = make_discs()
    network = Segmenter(architecture, SMALL)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = mask_loss(network(images), masks, rank_weight=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_the_decoder_has_the_channels_that_it_is_given() -> None:
    stages = Segmenter("Unet", SMALL, decoder=(20, 16, 12, 8, 4)).network.decoder.blocks
    assert [block.conv2[0].out_channels for block in stages] == [20, 16, 12, 8, 4]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [(50, 77), (33, 64), (1, 31)])
@torch.no_grad()
def test_any_size_in_is_the_size_out(architecture: str, size: tuple[int, int]) -> None:
    logits = Segmenter(architecture, "resnet18").eval()(torch.rand(1, 3, *size))
    assert logits.shape == (1, 1, *size)


def test_masks_of_another_size_are_resized_in_32_bits_where_the_network_computes_in_16() -> None:
    torch.manual_seed(0)
    network, images = Segmenter("Linknet", SMALL, size=(48, 32)).eval(), torch.rand(2, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    logits.mean().backward()
    assert logits.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(logits, network(images), rtol=0.1, atol=0.1)


def count(network: Segmenter) -> int:
    return sum(parameter.numel() for parameter in network.network.parameters())


def test_the_thesis_networks_have_their_size() -> None:
    # Hand count of the plain U-Net: two 3x3 convolutions and batch norms a level, 2x2 up-convolutions, a 1x1.
    def twice(channels: int, wanted: int) -> int:
        return 9 * wanted * (channels + wanted) + 4 * wanted

    down = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    up = [(1024, 512), (512, 256), (256, 128), (128, 64)]
    expected = sum(twice(*pair) for pair in down) + sum(twice(*pair) + 4 * pair[0] * pair[1] + pair[1] for pair in up)
    assert count(Segmenter("plain-unet", "unread")) == expected + 64 + 1
    assert round(expected / 1e6, 1) == 31.0
    deeplab = Segmenter("thesis-deeplabv3plus", "tu-xception65")
    assert round(count(deeplab) / 1e6, 1) == 54.7
    dilations = {m.dilation for m in deeplab.network.decoder.modules() if isinstance(m, torch.nn.Conv2d)}
    assert dilations == {(1, 1), (6, 6), (12, 12), (18, 18)}
    assert deeplab.network.encoder.eval()(torch.zeros(1, 3, 64, 64))[-1].shape[-2:] == (4, 4)  # output stride 16
    with pytest.raises(ConfigError, match="set weights to null"):
        Segmenter("plain-unet", "unread", weights="imagenet")


@torch.no_grad()
def test_padding_repeats_the_edge_and_is_cropped_away() -> None:
    network = Segmenter("unet", "resnet18").eval()
    images = torch.rand(2, 3, 50, 64)
    padded = torch.cat([images, images[:, :, -1:].expand(-1, -1, 14, -1)], dim=2)
    torch.testing.assert_close(network(images), network(padded)[:, :, :50])


@torch.no_grad()
def test_it_works_at_its_size_and_answers_at_that_of_the_images() -> None:
    network = Segmenter("unet", "resnet18", size=(64, 32)).eval()
    images = torch.full((1, 3, 48, 80), 0.3)
    assert network(images).shape == (1, 1, 48, 80)
    inner = network.network(Normalise()(torch.full((1, 3, 32, 64), 0.3)))
    assert float(network(images).mean()) == pytest.approx(float(inner.mean()), abs=0.05 * float(inner.std()))


def test_encoder_weights_come_from_a_file(tmp_path: Path) -> None:
    encoder = Segmenter("unet", "resnet18").network.encoder
    state = {key: value.half() for key, value in encoder.state_dict().items()}
    save_file({**state, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "w.safetensors")
    loaded = Segmenter("DeepLabV3Plus", "resnet18", weights=tmp_path / "w.safetensors").network.encoder.state_dict()
    assert all(torch.equal(loaded[key], value.to(loaded[key])) for key, value in state.items())


def test_weights_from_a_file_bring_the_statistics_of_timms_encoder(tmp_path: Path) -> None:
    encoder = "tu-tf_efficientnet_lite0"
    save_file(Segmenter("unet", encoder).network.encoder.model.state_dict(), tmp_path / "w.safetensors")
    normalise = Segmenter("unet", encoder, weights=tmp_path / "w.safetensors").normalise
    assert normalise(torch.full((1, 3, 1, 1), 0.75)).flatten().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("encoder", "asked"), [("resnet18", "imagenet"), ("tu-resnet18", True)])
def test_imagenet_weights_bring_their_statistics(
    encoder: str, asked: str | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, wanted = smp.create_model, []

    def pretend(*names: str, encoder_weights: str | bool, classes: int) -> torch.nn.Module:
        wanted.append(encoder_weights)
        network: torch.nn.Module = create(*names, encoder_weights=None, classes=classes)
        return network

    monkeypatch.setattr(smp, "create_model", pretend)
    monkeypatch.setattr(smp.encoders, "get_preprocessing_params", lambda _: {"mean": [0.5] * 3, "std": [0.25] * 3})
    normalise = Segmenter("unet", encoder, weights="imagenet").normalise
    assert wanted == [asked]
    assert normalise(torch.full((1, 3, 1, 1), 0.75)).flatten().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("architecture", "encoder", "message"),
    [
        ("deeplab", "resnet18", "unknown architecture 'deeplab'; close are .*deeplabv3plus"),
        ("unet", "resnet17", "unknown encoder 'resnet17'; close are .*resnet18"),
        ("unet", "tu-resnet17", "unknown encoder 'tu-resnet17'; close are .*tu-resnet18"),
        ("unet", "timm-mobilenetv3_small_minimal_100", f"close are {SMALL}"),
        ("deeplabv3plus", "xception", "'deeplabv3plus' cannot use encoder 'xception': Xception encoder does not"),
    ],
)
def test_names_that_cannot_serve_are_refused(architecture: str, encoder: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Segmenter(architecture, encoder)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_imagenet_without_a_connection_says_so(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", refuse)
    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    with pytest.raises(ConfigError, match=f"no ImageNet weights for encoder '{encoder}' .*check the connection"):
        Segmenter("unet", encoder, weights="imagenet")
