"""How often prediction does what costs time: networks, labelling of regions, decoding, copies to the host."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.imaging import masks, read
from selcn.data.imaging.read import write_image
from selcn.explain.explainers import ClassExplainer
from selcn.inference.assembly import build_cascade
from selcn.inference.batch import OutputOptions, predict_files
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.inputs import Item
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_graphs
from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Fusion
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble

WIDTH, HEIGHT, MEMBERS = 64, 48, 2
IMAGES = np.random.default_rng(0).integers(0, 255, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
SPECS: dict[str, SegmenterSpec | ClassifierSpec] = {
    "lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet"),
    "symmetry": ClassifierSpec(labels="symmetry-binary", backbone="test_resnet", masking="lae"),
    "diagnosis": ClassifierSpec(
        labels="ham10000", backbone="test_resnet", masking="lae", reads={"symmetry": Fusion.CONCAT}
    ),
}


def config_of(*shared: str) -> BundleConfig:
    prepare = Preparation(size=(WIDTH, HEIGHT), hair=False)
    settings: dict[str, Any] = {"selcn": "0", "name": "x", "target": "diagnosis", "members": MEMBERS, "split": ""}
    return BundleConfig(prepare=prepare, networks=SPECS, shared=shared, **settings)


def ensemble_of(*, shared: bool) -> Ensemble:
    """Members of random weights with equal segmentation networks, which are one network or copies of it."""
    torch.manual_seed(0)
    members = [build_cascade(SPECS).eval() for _ in range(MEMBERS)]
    for member in members[1:]:
        first = members[0].networks["lesion"]
        member.networks["lesion"] = first if shared else deepcopy(first)
    return Ensemble(members)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Path]]:
    """Of the ensemble whose members share a segmentation network, and of the one with copies."""
    found = {}
    for shared in (True, False):
        folder = tmp_path_factory.mktemp("graphs")
        config = config_of(*(["lesion"] if shared else []))
        found[shared] = [folder / name for name in export_graphs(config, ensemble_of(shared=shared), folder)]
    return found


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Masks of each call that finds largest regions."""
    calls: list[int] = []
    largest = masks.largest_regions

    def counted(found: np.ndarray) -> np.ndarray:
        calls.append(len(found))
        return largest(found)

    monkeypatch.setattr(masks, "largest_regions", counted)
    return calls


def assert_equal(one: Outputs, other: Outputs) -> None:
    pairs = [(one.lesion, other.lesion), (one.distance, other.distance)]
    pairs += [(one.probabilities[name], other.probabilities[name]) for name in one.probabilities]
    pairs += [(one.saliency[name], other.saliency[name]) for name in one.saliency]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_regions_are_labelled_once_for_each_segmentation_network(
    engine: str, graphs: dict[bool, list[Path]], labelled: list[int]
) -> None:
    def run(*, shared: bool) -> tuple[Outputs, int]:
        config = config_of(*(["lesion"] if shared else []))
        runner = TorchEngine(ensemble_of(shared=shared)) if engine == "torch" else OnnxEngine(config, graphs[shared])
        labelled.clear()
        return runner(IMAGES), sum(labelled)

    (together, once), (apart, each) = run(shared=True), run(shared=False)
    assert (once, each) == (len(IMAGES), MEMBERS * len(IMAGES))
    assert_equal(together, apart)


def test_an_explainer_segments_and_labels_once_too(labelled: list[int]) -> None:
    ensemble, images = ensemble_of(shared=True), torch.rand(2, 3, HEIGHT, WIDTH)
    members = list(ensemble.members)
    calls = calls_of(*(member.networks["lesion"] for member in members))
    with torch.inference_mode():
        found = ClassExplainer(members, "diagnosis").explain(images)
        expected = ensemble(images)
    assert torch.equal(found.saliency, expected.saliency["diagnosis"])
    assert calls["passes"] == 2
    assert labelled == [2, 2]


def calls_of(*networks: nn.Module) -> Counter[str]:
    """Counts forward passes of networks, each network once however often it is given, and the images of them."""
    calls: Counter[str] = Counter()

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
        calls["passes"] += 1
        calls["images"] += len(inputs[0])

    for network in dict.fromkeys(networks):
        network.register_forward_hook(count)
    return calls


def no_gradient(*_: object, **__: object) -> None:
    raise AssertionError("a backward pass")


def test_saliency_costs_no_second_forward_and_no_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((torch.autograd, "grad"), (torch.autograd, "backward"), (torch.Tensor, "backward")):
        monkeypatch.setattr(owner, name, no_gradient)
    ensemble = ensemble_of(shared=True)
    networks = [(name, network) for member in ensemble.members for name, network in member.networks.items()]
    bodies = [network.backbone for _, network in networks if isinstance(network, Classifier)]
    classifiers, segmenters = calls_of(*bodies), calls_of(*(network for name, network in networks if name == "lesion"))
    outputs = TorchEngine(ensemble)(IMAGES)
    assert set(outputs.saliency) == {"symmetry", "diagnosis"}
    assert (classifiers["passes"], classifiers["images"]) == (2 * MEMBERS, 2 * MEMBERS * len(IMAGES))
    assert (segmenters["passes"], segmenters["images"]) == (1, len(IMAGES))


def test_a_batch_passes_each_graph_once(graphs: dict[bool, list[Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    engine, runs = OnnxEngine(config_of("lesion"), graphs[True]), list[int]()

    class Counting:
        def __init__(self, session: Any) -> None:
            self.session, self.get_inputs = session, session.get_inputs

        def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            runs.append(len(inputs["images"]))
            found: list[np.ndarray] = self.session.run(outputs, inputs)
            return found

    monkeypatch.setattr(engine, "sessions", [Counting(session) for session in engine.sessions])
    engine(IMAGES)
    assert runs == [len(IMAGES)] * 2


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations of PyTorch by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_operations_do_not_grow_with_the_images_and_none_waits_for_one() -> None:
    engine, found = TorchEngine(ensemble_of(shared=True)), []
    for images in (IMAGES[:2], IMAGES):
        with Operations() as operations:
            engine(images)
        found.append(operations.found)
    assert found[0] == found[1]
    assert any(name.startswith("aten.conv") for name in found[0])
    waits = ("_local_scalar_dense", "item", "is_nonzero", "nonzero")
    assert not [name for name in found[0] if name.split(".")[1] in waits]


@pytest.mark.parametrize("overlays", [True, False])
def test_a_file_is_decoded_once(overlays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items, decoded = [], list[str]()
    for number, image in enumerate(IMAGES):
        write_image(tmp_path / f"{number}.png", image)
        items.append(Item(str(tmp_path / f"{number}.png")))
    counting(monkeypatch, read, "decode_pages", decoded)
    read_once = counting(monkeypatch, read, "read_bytes", [])
    predictor = Predictor(config_of("lesion"), TorchEngine(ensemble_of(shared=True)))
    predict_files([predictor], items, tmp_path / "out", options=OutputOptions(overlays=overlays, masks=True))
    assert sorted(decoded) == sorted(read_once) == [item.name for item in items]


def counting(patch: pytest.MonkeyPatch, module: Any, name: str, calls: list[str]) -> list[str]:
    """Have a function note the path that it is given."""
    function: Callable[..., Any] = getattr(module, name)

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(str(next(one for one in given if isinstance(one, Path))))
        return function(*given, **named)

    patch.setattr(module, name, counted)
    return calls
