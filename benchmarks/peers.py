"""The same images, folds, test subset, epochs and initial weights with plain scripts, which a cascade has to equal.

    python benchmarks/peers.py runs/ham10000 --weights ../shared/weights --out peers
    selcn compare runs/ham10000/predictions/diagnosis-standalone.csv peers/fine-tuned.csv
    selcn evaluate peers/linear-probe.csv; selcn evaluate peers/unet.csv --task segmentation

`fine-tuned` is the backbone of the run's target with a new last layer, in a plain loop: flips, AdamW, one-cycle
learning rate, weights of the last epoch. `linear-probe` is scikit-learn's logistic regression on features of
EfficientNet-Lite2. `unet` is the default U-Net of segmentation_models_pytorch on EfficientNet-Lite0, with binary
cross-entropy. One member a fold, whose mean predicts the test subset, as in the run. What has finished is not repeated.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from selcn.config.networks import NetworkSection
from selcn.evaluation.predictions import write_scores
from selcn.io.files import written_whole
from selcn.runs.predictions import score_rows, write_labelled
from selcn.runs.run import Run, open_run

LITE0, LITE2, SQUEEZENET = "tf_efficientnet_lite0", "tf_efficientnet_lite2", "squeezenet1_1"
Loss = Callable[[Tensor, np.ndarray], Tensor]


def read_images(run: Run, rows: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    """Images (n, 3, H, W) in [0, 1]."""
    images = torch.from_numpy(np.asarray(run.store.images[rows])).to(device).permute(0, 3, 1, 2).float() / 255
    resized = F.interpolate(images, (size[1], size[0]), mode="bilinear", antialias=True, align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)


def normalised(network: nn.Module, backbone: str) -> nn.Module:
    """The network behind the normalisation that its ImageNet weights were trained with."""
    known = None if backbone == SQUEEZENET else timm.get_pretrained_cfg(backbone)
    mean, sd = (known.mean, known.std) if known else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    return nn.Sequential(torchvision.transforms.Normalize(mean, sd), network)


def image_size(run: Run, section: NetworkSection) -> tuple[int, int]:
    """Width and height at which a network of the run sees images."""
    return section.size or run.config.prepare.size


def flip(images: Tensor, *others: Tensor) -> list[Tensor]:
    """A batch and what belongs to it, flipped at random along either axis."""
    axes = [axis for axis in (-1, -2) if torch.rand(()) < 0.5]
    return [one.flip(axes) if axes else one for one in (images, *others)]


def train(
    run: Run, network: nn.Module, rows: np.ndarray, section: NetworkSection, loss: Loss, device: torch.device
) -> nn.Module:
    """A plain training loop: AdamW, one-cycle learning rate, the weights of the last epoch."""
    size, epochs, batch = image_size(run, section), section.epochs, section.batch
    network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=section.lr, weight_decay=1e-2)
    steps = len(rows) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, section.lr, epochs * steps)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(rows)
        for step in range(steps):
            chosen = np.sort(order[step * batch : (step + 1) * batch])
            value = loss(read_images(run, chosen, size, device), chosen)
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.inference_mode()
def predict(
    run: Run, rows: np.ndarray, size: tuple[int, int], network: Callable[[Tensor], Tensor], device: torch.device
) -> np.ndarray:
    """A network's output for all rows."""
    batches = np.array_split(rows, max(1, len(rows) // 64))
    return np.concatenate([network(read_images(run, one, size, device)).numpy(force=True) for one in batches])


def classifier(backbone: str, classes: int, weights: Path) -> nn.Module:
    """An ImageNet network with a new last layer."""
    state = load_file(weights / f"{backbone}_imagenet.safetensors")
    if backbone != SQUEEZENET:
        network: nn.Module = timm.create_model(backbone)
        network.load_state_dict(state)
        network.reset_classifier(classes)  # type: ignore[operator]
        return normalised(network, backbone)
    squeezenet = torchvision.models.squeezenet1_1()
    squeezenet.load_state_dict(state)
    squeezenet.classifier[1] = nn.Conv2d(512, classes, 1)
    return normalised(squeezenet, backbone)


def fine_tuned(run: Run, fold: int, weights: Path, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the fold that is left out, and of the test subset."""
    name = run.graph.target
    section, numbers = run.graph.classifiers[name], torch.from_numpy(run.class_numbers(name))
    rows = run.training_rows(fold)
    rows = rows[numbers[rows].numpy() >= 0]
    counts = torch.bincount(numbers[rows], minlength=len(run.labels(name).names)).float()
    weight = len(rows) / (len(counts) * counts)
    network = classifier(section.backbone, len(counts), weights)

    def loss(images: Tensor, chosen: np.ndarray) -> Tensor:
        (flipped,) = flip(images)
        return F.cross_entropy(network(flipped), numbers[chosen].to(device), weight.to(device))

    train(run, network, rows, section, loss, device)
    held, tested = (
        predict(run, part, image_size(run, section), lambda images: network(images).softmax(1), device)
        for part in (run.fold_rows[fold], run.test_rows)
    )
    return held, tested


def linear_probe(run: Run, fold: int, weights: Path, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the fold that is left out, and of the test subset."""
    name, numbers = run.graph.target, run.class_numbers(run.graph.target)
    features = _lite2_features(run, weights, device)
    rows = run.training_rows(fold)
    rows = rows[numbers[rows] >= 0]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000))
    model.fit(features[rows], numbers[rows])
    assert len(model.classes_) == len(run.labels(name).names)
    return model.predict_proba(features[run.fold_rows[fold]]), model.predict_proba(features[run.test_rows])


def _lite2_features(run: Run, weights: Path, device: torch.device) -> np.ndarray:
    cache = run.folder.path / "peers-lite2.npy"
    if not cache.is_file():
        network = timm.create_model(LITE2)
        network.load_state_dict(load_file(weights / f"{LITE2}_imagenet.safetensors"))
        network.reset_classifier(0)  # type: ignore[operator]
        network = normalised(network, LITE2)
        network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = predict(run, np.arange(len(run.table)), run.config.prepare.size, network, device)
        with written_whole(cache) as partial, partial.open("wb") as file:
            np.save(file, features)
    found: np.ndarray = np.load(cache)
    return found


def unet(run: Run, fold: int, weights: Path, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Lesion probability of the fold that is left out, and of the test subset, at the store's size."""
    section = run.graph.nodes[str(run.graph.segmenter)].section
    size, stored = image_size(run, section), run.config.prepare.size
    network = smp.Unet(f"tu-{LITE0}", encoder_weights=None, classes=1)
    state = load_file(weights / f"{LITE0}_imagenet.safetensors")
    kept = network.encoder.model.state_dict()
    network.encoder.model.load_state_dict({name: state[name] for name in kept})
    whole = normalised(network, LITE0)
    rows = run.training_rows(fold)
    rows = rows[run.store.has_mask[rows]]

    def loss(images: Tensor, chosen: np.ndarray) -> Tensor:
        masks = torch.from_numpy(np.asarray(run.store.masks[chosen]) > 0).to(device).float()[:, None]
        flipped, true = flip(images, F.interpolate(masks, images.shape[-2:], mode="area"))
        return F.binary_cross_entropy_with_logits(logits(flipped), true)

    def logits(images: Tensor) -> Tensor:
        padded = F.pad(images, (0, -size[0] % 32, 0, -size[1] % 32), mode="replicate")
        found: Tensor = whole(padded)[..., : size[1], : size[0]]
        return found

    def lesion(images: Tensor) -> Tensor:
        return F.interpolate(logits(images), (stored[1], stored[0]), mode="bilinear").sigmoid()[:, 0]

    train(run, whole, rows, section, loss, device)
    held, tested = (predict(run, part, size, lesion, device) for part in (run.fold_rows[fold], run.test_rows))
    return held, tested


PEERS = {"linear-probe": linear_probe, "fine-tuned": fine_tuned, "unet": unet}


def write_peer(run: Run, name: str, weights: Path, out: Path, device: torch.device) -> None:
    """Write the prediction file of a peer, one fold after the other."""
    held, tested = [], []
    for fold in range(run.split.folds):
        part = out / "parts" / f"{name}-{fold}.npz"
        if not part.is_file():
            torch.manual_seed(run.config.seed)
            one, two = PEERS[name](run, fold, weights, device)
            with written_whole(part) as partial, partial.open("wb") as file:
                np.savez_compressed(file, held=one, tested=two)
        loaded = np.load(part)
        held.append(loaded["held"])
        tested.append(loaded["tested"])
        print(f"{name}: fold {fold}", flush=True)
    rows = np.concatenate([*run.fold_rows, run.test_rows])
    answers = np.concatenate([*held, np.mean(tested, axis=0)])
    if name == "unet":
        scored = np.flatnonzero(run.store.has_mask[rows])
        write_scores(score_rows(run, rows[scored], answers[scored] > 0.5), out / f"{name}.csv")
    else:
        write_labelled(run, run.graph.target, rows, answers, out / f"{name}.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the ImageNet weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=[*PEERS], action="append")
    chosen = parser.parse_args()
    (chosen.out / "parts").mkdir(parents=True, exist_ok=True)
    opened = open_run(chosen.run)
    for peer in chosen.only or PEERS:
        write_peer(opened, peer, chosen.weights, chosen.out, torch.device(chosen.device))
