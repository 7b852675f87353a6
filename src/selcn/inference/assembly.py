"""Bundle <-> networks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from selcn.errors import RunError
from selcn.inference.bundle import CARD, CONFIG, MANIFEST, METRICS, NETWORKS, WEIGHTS, BundleConfig, read_config
from selcn.io.files import sha256
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.models.cascade import Cascade, Ensemble
from selcn.models.features import FeatureDistance


def write_bundle(
    folder: Path, config: BundleConfig, ensemble: Ensemble, *, metrics: Sequence[Mapping[str, Any]] = (), card: str = ""
) -> None:
    """Fill an empty folder, the manifest last.

    Args:
        folder: to fill.
        config: what the bundle is.
        ensemble: its networks.
        metrics: figures with intervals.
        card: the model card, Markdown with its metadata in front.
    """
    (folder / CONFIG).write_text(config.model_dump_json(indent=1), encoding="utf-8")
    # Networks with shared tensors would need care here; none of ours has any.
    save_file({name: value.contiguous() for name, value in ensemble.state_dict().items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read, whatever the umask
    (folder / METRICS).write_text(json.dumps(list(metrics), indent=1), encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    checksums = {name: sha256(folder / name) for name in (CONFIG, WEIGHTS, METRICS, CARD)}
    (folder / MANIFEST).write_text(json.dumps({"sha256": checksums}, indent=1), encoding="utf-8")


def read_bundle(path: Path) -> tuple[BundleConfig, Ensemble]:
    """Verify every checksum, rebuild the networks and load their weights, in eval mode on the CPU.

    Raises:
        RunError: no bundle, or a file is missing, changed or does not fit; the line names it.
    """
    config = read_config(path)
    ensemble = Ensemble([_build_member(config, number) for number in range(config.members)])
    load_weights(ensemble, path / WEIGHTS)
    return config, ensemble.eval()


def assemble(config: BundleConfig, members: Sequence[Mapping[str, Path]]) -> Ensemble:
    """Rebuild the networks and load each member's weight files (by `NETWORKS`), in eval mode on the CPU.

    Raises:
        RunError: a file is missing, unreadable or of another network.
    """
    ensemble = Ensemble([_build_member(config.model_copy(update={"components": ()}), 0) for _ in members])
    for member, weights in zip(ensemble.members, members, strict=True):
        for name in NETWORKS:
            load_weights(getattr(member, name), weights[name])
    return ensemble.eval()


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a network's safetensors file, every key of it.

    Raises:
        RunError: missing, unreadable, or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}); make it anew") from None
    except RuntimeError as error:
        raise RunError(f"{path}: holds another network's weights ({' '.join(str(error).split())[:120]})") from None


def _build_member(config: BundleConfig, number: int) -> Cascade:
    classifier = build_classifier(config.classification, config.variant, pretrained=False)
    channels = classifier.head.linear.in_features
    return Cascade(
        build_segmenter(config.segmentation, pretrained=False),
        build_symmetry(config.symmetry, pretrained=False),
        classifier,
        config.cam_mask,
        config.variant.mask,
        control=config.variant.control,
        flips=config.classification.flips,
        distance=FeatureDistance(channels, config.components[number]) if config.components else None,
    )
