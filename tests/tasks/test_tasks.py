import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, jaccard_score
from sklearn.utils.class_weight import compute_class_weight

from selcn.config import ClassificationSection, SegmentationSection
from selcn.data.datasets import Batch, Samples, Sources
from selcn.errors import DataError
from selcn.labels import HAM10000
from selcn.tasks.classification import ClassificationTask, class_weights
from selcn.tasks.segmentation import SegmentationTask

NOTHING = torch.empty(0)


def test_labels_are_numbered_and_weighted_in_the_same_order() -> None:
    """The original weighted classes in alphabetical order and numbered them in another."""
    names = ["nv"] * 6 + ["mel"] * 3 + ["df", "bkl", "bcc", "akiec", "vasc", ""]
    labels = np.array(HAM10000.numbers(names))
    assert labels.tolist() == [0] * 6 + [1] * 3 + [6, 2, 3, 4, 5, -1]
    assert class_weights(labels, HAM10000.names).tolist() == pytest.approx([14 / 42, 14 / 21, 2, 2, 2, 2, 2])


@given(st.lists(st.integers(0, 2), min_size=1).map(lambda labels: [0, 1, 2, *labels]))
def test_class_weights_are_scikit_learns_balanced_ones(labels: list[int]) -> None:
    oracle = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights(np.array([*labels, -1]), "abc").numpy() == pytest.approx(oracle)


def test_a_class_without_training_images_is_named() -> None:
    with pytest.raises(DataError, match="class b has no training image in this fold"):
        class_weights(np.array([0, 2, 2]), "abc")


def test_segmentation_scores_each_image_by_its_jaccard_index() -> None:
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


def test_symmetry_is_scored_by_balanced_accuracy_over_all_batches() -> None:
    task = ClassificationTask("symmetry", ClassificationSection(labels="symmetry-binary"))
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(40, generator=generator) > 0.8).long()
    logits = torch.randn(40, 2, generator=generator)
    metric = task.metric()
    for part in (slice(0, 7), slice(7, 40)):
        task.update(metric, logits[part], Batch(NOTHING, label=label[part]))
    assert float(metric.compute()) == pytest.approx(balanced_accuracy_score(label, logits.argmax(1)))


def test_weights_of_a_balanced_epoch_count_what_it_shows() -> None:
    labels = np.array([0] * 30 + [1] * 4 + [2] * 2)
    # Balanced to 10, an epoch shows 10, 10 and 8.
    assert class_weights(labels, "abc", balance=10).tolist() == pytest.approx([28 / 30, 28 / 30, 28 / 24])


def test_a_balanced_epoch_is_sampled_from_the_labels_of_its_own_rows() -> None:
    labels = np.array([0, 1, 1, 1, -1, 0, 0, 1])
    task = ClassificationTask("symmetry", ClassificationSection(labels="symmetry-binary", balance=4))
    sources = Sources(None, labels=labels)  # type: ignore[arg-type]  # no image is asked for
    samples = Samples(sources, task.usable(sources, np.array([7, 6, 4, 3, 2, 1])))
    balanced, sampler = task.training_order(samples, seed=0)
    images = [divmod(number, 4)[0] for number in sampler]
    assert len(balanced) == 20  # type: ignore[arg-type]
    assert sorted(images) == [0, 1, 1, 1, 1, 2, 3, 4], "row 6 alone is of class 0: four copies of it"
