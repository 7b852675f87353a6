"""Classification with a frozen backbone: fusion and head are trained on stored features of each image and its flips."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from selcn.data.datasets import Batch
from selcn.models.backbones import StoredFeatures
from selcn.models.classifier import Classifier
from selcn.tasks.classification import ClassificationTask


@dataclass(frozen=True, eq=False)
class FrozenTask(ClassificationTask):
    """A linear probe, or fusion of saliency and a head, on the features of a backbone that is not trained."""

    def build(self) -> Classifier:
        """A new network that takes features in place of images.

        Raises:
            ConfigError: see `selcn.models.build.build_network`.
        """
        network = self._whole()
        network.backbone, network.size = StoredFeatures(network.backbone.channels), None
        return network

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """The state dict of the whole network, that of the backbone included.

        Args:
            network: as `build` returns it, trained.
        """
        return self.completed(network.state_dict())

    def completed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict of the whole network, given that of what follows the backbone.

        Args:
            state: of fusion and head.
        """
        whole = self._whole()
        whole.load_state_dict(state, strict=False)
        return super().weights(whole)

    def look(self, batch: Batch) -> Batch:
        """The batch with saliency and metadata or their controls; its features are of masked images.

        Args:
            batch: features (N, C, h, w) as images, saliency maps (N, 1, h, w) in [0, 1].
        """
        return self.controlled(batch)

    def _whole(self) -> Classifier:
        network = super().build()
        assert isinstance(network, Classifier)
        return network
