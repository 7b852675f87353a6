"""Lesions whose asymmetry is known by hand: triangle, half-moon, two-coloured disc, and a blob on one side."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.inference.assembly import build_cascade
from selcn.labels import SYMMETRY_BINARY
from selcn.models.build import build_network
from selcn.models.cascade import Specs
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble
from selcn.models.heads import PooledLinearHead
from selcn.models.mirror import FULL_DIFFERENCE, MEASURES, Mirror, Mirrored, to_lab

HEIGHT, WIDTH = 120, 160
SKIN, BROWN, DARK = (0.88, 0.70, 0.62), (0.55, 0.35, 0.25), (0.25, 0.14, 0.12)
Region = Callable[[np.ndarray, np.ndarray], np.ndarray]


def draw(
    shape: Region, blob: Region | None = None, turn: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)
) -> tuple[Tensor, Tensor]:
    """A brown lesion with a dark blob, image (1, 3, H, W) and mask (1, 1, H, W); regions in units of 30 pixels."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    right, down = columns - WIDTH / 2 - shift[0], rows - HEIGHT / 2 - shift[1]
    x = (math.cos(turn) * right + math.sin(turn) * down) / (30 * scale)
    y = (math.cos(turn) * down - math.sin(turn) * right) / (30 * scale)
    mask = shape(x, y)
    image = np.where(mask[..., None], BROWN, SKIN)
    if blob is not None:
        image = np.where((mask & blob(x, y))[..., None], DARK, image)
    return torch.from_numpy(image).permute(2, 0, 1)[None].float(), torch.from_numpy(mask)[None, None].float()


def measured(*lesion: Tensor) -> dict[str, float]:
    return dict(zip(MEASURES, Mirror()(*lesion).measures[0].tolist(), strict=True))


def disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(x**2 + y**2 < 1)


def ellipse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((x / 1.3) ** 2 + (y / 0.8) ** 2 < 1)


def spot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((x - 0.65) ** 2 + (y - 0.3) ** 2 < 0.25**2)


def test_lab_is_that_of_opencv() -> None:
    colours = torch.rand(1, 3, 20, 20)
    expected = cv2.cvtColor(colours[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB)
    assert np.abs(to_lab(colours)[0].permute(1, 2, 0).numpy() - expected).max() < 0.3


def _chord(y: float) -> float:
    return y * math.sqrt(1 - y**2) + math.asin(y)


# The half-moon's centroid lies 4 / (3 pi) from its straight side. Mirrored there, it shares with itself twice what lies
# between once and twice that height.
_SHARED = 2 * (_chord(8 / (3 * math.pi)) - _chord(4 / (3 * math.pi)))


@pytest.mark.parametrize(
    ("shape", "across"),
    [
        (ellipse, 0.0),
        # Of height h and base b, area b h / 2, mirrored at height h / 3: shared b h / 3, together 2 b h / 3.
        (lambda x, y: (y > -1) & (y < 1.4) & (np.abs(x) < 0.45 * (1.4 - y) / 2.4), 0.5),
        (lambda x, y: (x**2 + y**2 < 1) & (y > 0), 1 - _SHARED / (math.pi - _SHARED)),
    ],
)
def test_overlap_is_counted_by_hand(shape: Region, across: float) -> None:
    found = measured(*draw(shape, turn=0.4))
    assert found["shape_axis"] == pytest.approx(0, abs=0.05)
    assert found["shape_pair"] == pytest.approx(across / 2, abs=0.05)  # about the axis itself there is no difference


def test_two_colours_differ_about_one_axis_by_their_distance() -> None:
    image, mask = draw(disc, lambda x, _: x > 0)
    one, other = to_lab(torch.tensor([BROWN, DARK]).T[None, :, :, None])[0, :, :, 0].T
    found = measured(image, mask)
    assert found["colour_fine_axis"] < 0.5
    assert found["colour_fine_pair"] == pytest.approx(float((one - other).norm()) / 2, rel=0.08)


@settings(max_examples=12)
@given(
    turn=st.floats(0, 2 * math.pi),
    scale=st.floats(0.75, 1.25),
    shift=st.tuples(st.floats(-20, 20), st.floats(-10, 10)),
    mirrored=st.booleans(),
)
@example(turn=1.208984375, scale=0.75, shift=(0.0, 0.0), mirrored=False)
def test_pose_does_not_matter(turn: float, scale: float, shift: tuple[float, float], mirrored: bool) -> None:
    # Not in line with the pixels: there their mirror images meet exactly, as in no other pose.
    reference = measured(*draw(ellipse, spot, turn=0.4))
    image, mask = draw(ellipse, spot, turn, scale, shift)
    found = measured(*((image.flip(3), mask.flip(3)) if mirrored else (image, mask)))
    for name, value in found.items():
        # Pixels along borders fall in or out: 15 %, and at least half a unit of Lab or 5 % of the shape.
        tolerance = 0.05 if name.startswith("shape") else 0.5
        assert value == pytest.approx(reference[name], abs=tolerance, rel=0.15), name


def test_map_is_where_the_asymmetry_is() -> None:
    even = Mirror()(*draw(disc, lambda x, y: x**2 + y**2 < 0.3))
    assert float(even.map.max()) < 0.03
    found = Mirror()(*draw(ellipse, spot)).map[0, 0]
    row, column = divmod(int(found.argmax()), found.shape[1])
    x, y = ((column + 0.5) * 4 - WIDTH / 2) / 30, ((row + 0.5) * 4 - HEIGHT / 2) / 30
    assert math.hypot(x - 0.65, y - 0.3) < 0.25  # not in its mirror images
    faint = Mirror()(
        *(torch.lerp(one, other, 0.5) for one, other in zip(draw(ellipse, spot), draw(ellipse), strict=True))
    )
    assert 0 < float(faint.map.max()) < 0.75 * float(found.max()) < FULL_DIFFERENCE  # not scaled by image


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(y) < 1 / 30) & (np.abs(x) < 1))


@pytest.mark.parametrize("shape", [lambda x, _: x > 99, _line, lambda x, y: x**2 + y**2 < 0.09**2])
def test_without_a_region_it_is_undefined(shape: Region) -> None:
    image, mask = (torch.cat(pair) for pair in zip(draw(shape), draw(ellipse), strict=True))
    found = Mirror()(image, mask)
    assert found.valid.tolist() == [False, True]
    assert not found.measures[0].any()
    assert not found.map[0].any()
    network = build_network(ClassifierSpec(labels=SYMMETRY_BINARY, backbone="mirror")).eval()
    logits = network(image, (), None, mask)
    assert logits.isnan().tolist() == [[True, True], [False, False]]


def test_islands_in_a_mask_do_not_count() -> None:
    image, mask = draw(ellipse, spot)
    island = mask.clone()
    island[:, :, 4:9, 4:9] = 1
    clean, stained = measured(image, mask), measured(image, island)
    assert stained == pytest.approx(clean, rel=0.02, abs=0.02)


def test_large_images_are_averaged_first() -> None:
    image, mask = draw(ellipse, spot)
    large = [one.repeat_interleave(3, 2).repeat_interleave(3, 3) for one in (image, mask)]
    assert large[0].shape[2] == 360  # blocks of 2 pixels
    assert measured(*large) == pytest.approx(measured(image, mask), rel=0.1, abs=0.5)


def test_measures_stand_beside_the_features_of_a_network() -> None:
    spec = ClassifierSpec(labels=SYMMETRY_BINARY, backbone="test_resnet", measures=True)
    network = build_network(spec).eval()
    assert isinstance(network, Classifier)
    assert isinstance(network.head, PooledLinearHead)
    with torch.no_grad():
        network.head.linear.weight.zero_()
        network.head.linear.weight[0, network.channels + MEASURES.index("contrast")] = 1
        network.head.linear.bias.zero_()
    image, mask = draw(ellipse, spot)
    with torch.no_grad():
        output = network.trace(image, (), None, mask)
        unmeasured = network(image, (), None, torch.zeros_like(mask))
    assert output.activations.shape[1] == network.channels  # its saliency is of its own features
    assert float(output.logits[0, 0]) == pytest.approx(measured(image, mask)["contrast"], rel=1e-4)
    assert not unmeasured.any()  # undefined measures say nothing


@pytest.mark.parametrize("shared", [True, False])
def test_symmetry_is_measured_once_for_all_views_and_for_members_with_one_lesion(
    shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ClassifierSpec(labels=SYMMETRY_BINARY, backbone="test_resnet", measures=True, flips=True)
    specs: Specs = {"lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet"), "symmetry": spec}
    members = [build_cascade(specs).eval() for _ in range(3)]
    if shared:
        for member in members[1:]:
            member.networks["lesion"] = members[0].networks["lesion"]
    calls, whole = [], Mirror.forward

    def counted(self: Mirror, images: Tensor, mask: Tensor) -> Mirrored:
        calls.append(len(images))
        return whole(self, images, mask)

    monkeypatch.setattr(Mirror, "forward", counted)
    image, _ = draw(ellipse, spot)
    with torch.no_grad():
        Ensemble(members)(image)
    assert calls == [1] * (1 if shared else 3)


def test_a_lesion_and_its_mirror_image_measure_the_same() -> None:
    """So that the views of one image may share what is measured of one of them."""
    image, mask = draw(ellipse, spot, turn=0.4, shift=(9, -5))
    for axes in ([3], [2], [2, 3]):
        assert measured(image.flip(axes), mask.flip(axes)) == pytest.approx(measured(image, mask), rel=0.02, abs=0.2)


def test_a_map_against_its_own_mirror_image_counted_by_hand() -> None:
    """A map of the disc's right half meets its mirror image about one axis only, wherever the lesion lies."""
    mirror, (_, mask) = Mirror(), draw(ellipse, turn=0.4, shift=(9, -5))
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    right, down = columns - WIDTH / 2 - 9, rows - HEIGHT / 2 + 5
    x, y = math.cos(0.4) * right + math.sin(0.4) * down, math.cos(0.4) * down - math.sin(0.4) * right
    half, quarter = (x > 0).float(), ((x > 0) & (y > 0)).float()
    # About the minor axis the half meets nothing (1), about the major one itself (0); the quarter meets nothing twice.
    # The tilt 2 + x / s, s being half the length, differs by 2 x / s of a sum of 4, and the mean of |x| / s is
    # 4 / (3 pi).
    tilt = 2 + x / (30 * 1.3)
    maps = {"even": torch.ones_like(x), "half": half, "quarter": quarter, "tilt": tilt}
    found = {name: mirror.compare_map(one[None, None], mask).item() for name, one in maps.items()}
    assert found["even"] == pytest.approx(0, abs=1e-4)
    assert found["half"] == pytest.approx(1 / 2, abs=0.03)
    assert found["quarter"] == pytest.approx(1, abs=0.05)
    assert found["tilt"] == pytest.approx(4 / (3 * math.pi) / 2 / 2, abs=0.01)
    coarse = torch.nn.functional.avg_pool2d(tilt[None, None], 10)
    assert mirror.compare_map(coarse, mask).item() == pytest.approx(found["tilt"], abs=0.01)
    assert mirror.compare_map(half[None, None], torch.zeros_like(mask)).isnan().all()
    assert mirror.compare_map(torch.zeros_like(mask), mask).isnan().all()
