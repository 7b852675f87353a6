"""A bundle's graphs in ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from selcn.data.imaging.masking import visible_region
from selcn.data.imaging.masks import LESION_THRESHOLD, without_islands
from selcn.inference.bundle import BundleConfig
from selcn.inference.given import MASK, Floats, GivenArrays, saliency_name
from selcn.inference.onnx.names import (
    IMAGES,
    LESIONS,
    given_name,
    given_shapes,
    keeps_largest_region,
    masked_between,
    nothing_given,
    output_names,
    visible_name,
)
from selcn.inference.result import Outputs
from selcn.io.threads import wanted_threads


class OnnxEngine:
    """Runs the graphs that `selcn export` wrote, on the CPU.

    Args:
        config: of the bundle.
        graphs: their files, in the order they run: one, or two with masks that are worked on between them.
        threads: number that work on one batch; None for `OMP_NUM_THREADS`, or one a core.
    """

    def __init__(self, config: BundleConfig, graphs: Sequence[Path], threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or wanted_threads() or 0
        options.log_severity_level = 3
        # Threads that spin while they wait starve the other processes of a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self.config = config
        self.sessions = [onnxruntime.InferenceSession(path, options, providers) for path in graphs]

    def given_shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Shape of one image's value of each result that can be given, by its name.

        Args:
            size: width and height of prepared images.
        """
        shapes = given_shapes(self.sessions[-1].get_inputs())
        return shapes if len(self.sessions) == 1 else {MASK: size[::-1], **shapes}

    def __call__(self, prepared: np.ndarray, given: GivenArrays | None = None) -> Outputs:
        """Predict prepared images.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            given: results in place of which nothing is predicted.
        """
        *first, last = self.sessions
        inputs = {IMAGES: prepared, **nothing_given(last.get_inputs(), len(prepared))}
        given = given or GivenArrays()
        inputs |= {given_name(name): value for name, value in given.by_name().items()}
        if first:
            inputs[LESIONS] = self._member_lesions(prepared, given.masks)
            inputs |= self._regions(inputs[LESIONS])
        taken = {one.name for one in last.get_inputs()}
        values = last.run(None, {name: value for name, value in inputs.items() if name in taken})
        found = dict(zip(output_names(self.config), values, strict=True))
        return Outputs(
            found.get("lesion"),
            {name: found[name] for name in self.config.classifiers},
            {name: found[saliency_name(name)] for name in self.config.classifiers},
            found["distance"],
        )

    def segment(self, prepared: np.ndarray) -> Floats:
        """Probability that a pixel is lesion, float32 (N, H, W); of a bundle with a segmentation network.

        Args:
            prepared: uint8 RGB (N, H, W, 3).
        """
        lesion = self._member_lesions(prepared, None).mean(axis=1) if len(self.sessions) > 1 else self(prepared).lesion
        assert lesion is not None
        return lesion

    def _member_lesions(self, prepared: np.ndarray, masks: Floats | None) -> Floats:
        """Each member's lesion probability (N, K, H, W); images with a given mask do not pass the network."""
        unknown = np.ones(len(prepared), bool) if masks is None else masks[:, 0, 0] < 0
        height, width = prepared.shape[1:3]
        lesions = np.empty((len(prepared), self.config.members, height, width), np.float32)
        if masks is not None:
            lesions[:] = masks[:, None]
        if unknown.any():
            (found,) = self.sessions[0].run(None, {IMAGES: prepared[unknown]})
            lesions[unknown] = self._whole(found) if keeps_largest_region(self.config) else found
        return lesions

    def _whole(self, lesions: Floats) -> Floats:
        """Lesion probability (N, K, H, W) without islands; found once where members have their network in common."""
        members = lesions.shape[1]
        distinct = self._distinct(members)
        kept = without_islands(lesions[:, :distinct].reshape(-1, *lesions.shape[2:]))
        return kept.reshape(len(lesions), distinct, *lesions.shape[2:]).repeat(members // distinct, axis=1)

    def _distinct(self, members: int) -> int:
        """How many of the members' lesions differ."""
        return 1 if self.config.segmenter in self.config.shared else members

    def _regions(self, lesions: Floats) -> dict[str, Floats]:
        """What each masking between the graphs leaves visible of K members' lesions, float32 (N, K, H, W), by input."""
        members = lesions.shape[1]
        distinct = self._distinct(members)
        masks = (lesions[:, :distinct] > LESION_THRESHOLD).reshape(-1, *lesions.shape[2:])
        found = {}
        for masking in masked_between(self.config):
            region = visible_region(masking, masks).reshape(len(lesions), distinct, *lesions.shape[2:])
            found[visible_name(masking)] = region.astype(np.float32).repeat(members // distinct, axis=1)
        return found
