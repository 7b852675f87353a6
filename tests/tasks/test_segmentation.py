from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

from selcn.config import SegmentationSection
from selcn.data.datasets import Batch, Samples, Sources
from selcn.data.store.store import Store
from selcn.evaluation.segmentation import segmentation_scores
from selcn.models.losses import cross_entropy_loss, rank_loss, soft_dice_loss
from selcn.models.segmenter import Segmenter
from selcn.tasks.segmentation import SegmentationTask

NOTHING = torch.empty(0)


def test_each_image_is_scored_by_its_jaccard_index() -> None:
    task = SegmentationTask("lesion", SegmentationSection())
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(5, 1, 8, 8, generator=generator) > 0.5
    logits = torch.randn(5, 1, 8, 8, generator=generator)
    truth[4], logits[4] = False, -1.0
    metric = task.metric()
    for part in (slice(0, 2), slice(2, 5)):
        task.update(metric, logits[part], Batch(NOTHING, truth[part].float()))
    each = [jaccard_score(truth[n].flatten(), logits[n].flatten() > 0) for n in range(4)]
    assert float(metric.compute()) == pytest.approx((sum(each) + 1) / 5)


class Given(nn.Module):
    """Answers with the logits that it was given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[1] == 3
        return self.logits


@pytest.mark.parametrize("name", ["dice", "cross-entropy"])
def test_the_loss_is_that_of_its_name_and_a_share_of_the_rank_loss(name: Literal["dice", "cross-entropy"]) -> None:
    logits, mask = torch.randn(2, 1, 5, 7), (torch.rand(2, 1, 5, 7) > 0.5).float()
    batch = Batch(torch.rand(2, 3, 5, 7), mask)
    whole = {"dice": soft_dice_loss, "cross-entropy": cross_entropy_loss}[name](logits, mask)
    for weight in (0.0, 0.3):
        task = SegmentationTask("lesion", SegmentationSection(loss=name, rank_weight=weight))
        loss, answered = task.loss(Given(logits), batch)
        expected = whole + weight * rank_loss(logits, mask)
        assert float(task.terms(loss, logits, batch)[f"{name.replace('-', '_')}_loss"]) == pytest.approx(float(whole))
        assert float(loss) == pytest.approx(float(expected))
        assert answered is logits
        assert task.mass(batch) == 2


def test_it_trains_on_images_with_a_true_mask_as_they_are(store: Store) -> None:
    task = SegmentationTask("lesion", SegmentationSection())
    sources = Sources(store, store.masks)
    rows = task.usable(sources, np.array([6, 3, 1, 0]))
    assert rows.tolist() == [6, 1, 0]
    batch = Samples(sources, rows).__getitems__([2, 0])
    assert batch.image[:, 0, 0, 0].tolist() == [0, 60]
    assert batch.mask.sum(dim=(1, 2, 3)).tolist() == [0, 6]
    assert (batch.saliency, batch.label.numel()) == ((), 0)
    assert task.look(batch) is batch
    assert task.mixing == (None, 0.0)


def test_it_builds_the_network_of_its_section() -> None:
    section = SegmentationSection(architecture="Unet", encoder="tu-test_resnet", size=(64, 32))
    network = SegmentationTask("lesion", section).build()
    assert isinstance(network, Segmenter)
    assert network.size == (64, 32)


def test_terms_and_further_scores_are_those_of_the_loss_and_of_the_evaluation() -> None:
    logits, mask = torch.randn(6, 1, 9, 7), (torch.rand(6, 1, 9, 7) > 0.5).float()
    mask[0], mask[1], logits[1], mask[2] = 0, 0, -1, 1
    batch = Batch(torch.rand(6, 3, 9, 7), mask)
    task = SegmentationTask("lesion", SegmentationSection(rank_weight=0.05))
    terms = task.terms(task.loss(Given(logits), batch)[0], logits, batch)
    assert float(terms["dice_loss"]) == pytest.approx(float(soft_dice_loss(logits, mask)))
    assert float(terms["rank_loss"]) == pytest.approx(float(rank_loss(logits, mask)), abs=1e-5)
    metrics = task.further_metrics()
    for part in (slice(0, 2), slice(2, 6)):
        task.update_further(metrics, logits[part], Batch(NOTHING, mask[part]))
    expected = segmentation_scores(mask[:, 0].numpy() > 0, logits[:, 0].numpy() > 0).mean()
    found = {name: float(one.compute()) for name, one in metrics.items()}
    assert found == pytest.approx(expected[[*metrics]].to_dict())
