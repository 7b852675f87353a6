import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from selcn.config import ClassificationSection
from selcn.data.datasets import Batch, Samples, Sources
from selcn.data.store.store import Store
from selcn.errors import DataError
from selcn.labels import HAM10000, Control
from selcn.tasks.classification import ClassificationTask, class_weights

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


def test_the_score_is_balanced_accuracy_over_all_batches() -> None:
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


LABELS = ["a", "b", "c"]


def task_of(weight: Tensor | None = None, prior: Tensor | None = None, **keys: object) -> ClassificationTask:
    section = ClassificationSection.model_validate({"labels": LABELS, "backbone": "test_resnet", **keys})
    return ClassificationTask("criterion", section, weight, prior)


class Given(nn.Module):
    """Answers with the logits that it was given, and remembers what it was shown."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor, saliency: tuple[Tensor, ...], metadata: Tensor, mask: Tensor | None) -> Tensor:
        assert not metadata.numel()
        assert mask is None
        self.shown = images, saliency
        return self.logits


def cross_entropy(logits: Tensor, label: list[int], weight: list[float], smoothing: float = 0.0) -> tuple[float, float]:
    """Sum of weighted cross-entropies, and of the weights, one image after the other (Szegedy et al. 2016)."""
    sums = [0.0, 0.0]
    for row, true in zip(logits.double().numpy(), label, strict=True):
        logarithm = row - np.log(np.exp(row).sum())
        wanted = np.full(len(row), smoothing / len(row))
        wanted[true] += 1 - smoothing
        sums[0] -= float((wanted * weight * logarithm).sum())
        sums[1] += weight[true]
    return sums[0], sums[1]


def test_adjusted_logits_are_those_of_the_training_images_frequencies() -> None:
    """Balanced softmax: the softmax of logits plus log frequencies, -log(p_y e^z_y / sum p_k e^z_k), by hand."""
    logits, shares = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0]]), torch.tensor([0.7, 0.2, 0.1])
    batch = Batch(torch.rand(2, 3, 2, 2), label=torch.tensor([2, 0]))
    task = task_of(prior=shares, adjusted=True).to(torch.device("cpu"))
    loss, answered = task.loss(Given(logits).train(), batch)
    parts = [0.1 * np.exp(-1) / (0.7 * np.e + 0.2 + 0.1 * np.exp(-1)), 0.7 / (0.7 + 0.2 * np.e**2 + 0.1 * np.e)]
    assert float(loss) == pytest.approx(-np.log(parts).mean(), rel=1e-6)
    assert answered is logits, "what the network answers is not adjusted"
    mixed = batch._replace(partner=torch.tensor([1, 0]), share=torch.tensor([0.7]))
    other = [0.2 / (0.7 * np.e + 0.2 + 0.1 * np.exp(-1)), parts[1]]
    expected = -0.7 * np.log(parts).mean() - 0.3 * np.log(other).mean()
    assert float(task.loss(Given(logits).train(), mixed)[0]) == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_the_weighted_mean_cross_entropy_smoothed_in_training_alone() -> None:
    logits, label, weight = torch.randn(4, 3), [0, 2, 2, 1], [1.0, 5.0, 0.2]
    network, maps = Given(logits), (torch.rand(4, 1, 2, 2), torch.rand(4, 1, 3, 3))
    batch = Batch(torch.rand(4, 3, 2, 2), saliency=maps, label=torch.tensor(label))
    for chosen in ([1.0, 1.0, 1.0], weight):
        for smoothing, training in ((0.0, True), (0.3, True), (0.3, False)):
            task = task_of(None if chosen is not weight else torch.tensor(weight), label_smoothing=smoothing)
            loss, answered = task.loss(network.train(training), batch)
            total, mass = cross_entropy(logits, label, chosen, smoothing if training else 0.0)
            assert float(loss) == pytest.approx(total / mass, rel=1e-5), (chosen, smoothing, training)
            assert float(task.mass(batch)) == pytest.approx(mass)
            assert answered is logits
    assert network.shown[0] is batch.image
    assert network.shown[1] is maps


def test_a_mixed_batch_loses_by_both_labels_as_they_share() -> None:
    logits, own, partner = torch.randn(2, 3), [0, 1], [2, 0]
    batch = Batch(
        torch.rand(2, 3, 2, 2), label=torch.tensor(own), partner=torch.tensor(partner), share=torch.tensor([0.7])
    )
    loss, _ = task_of().loss(Given(logits), batch)
    of_own, of_partner = (cross_entropy(logits, label, [1.0] * 3)[0] / 2 for label in (own, partner))
    assert float(loss) == pytest.approx(0.7 * of_own + 0.3 * of_partner, rel=1e-5)


def test_the_network_is_shown_the_masked_image_and_saliency_or_its_control() -> None:
    image, maps = torch.rand(2, 3, 8, 8) + 0.1, (torch.rand(2, 1, 2, 2), torch.rand(2, 1, 4, 4))
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:4, 1:6] = 1
    batch = Batch(image, mask, maps, torch.tensor([0, 1]))
    shown = task_of(masking="segmentation").look(batch)
    assert torch.equal(shown.image, image * mask)
    assert all(torch.equal(one, other) for one, other in zip(shown.saliency, maps, strict=True))
    reads = {"one": "concat", "two": "attention"}
    zero, shuffled = (task_of(control=control, reads=reads).look(batch) for control in (Control.ZERO, Control.SHUFFLED))
    assert torch.equal(zero.image, image)
    assert [one.shape for one in zero.saliency] == [one.shape for one in maps]
    assert not any(one.any() for one in zero.saliency)
    assert all(torch.equal(one, other.flip(0)) for one, other in zip(shuffled.saliency, maps, strict=True))


def test_batches_hold_the_rows_that_have_a_class(store: Store) -> None:
    labels = np.array([2, -1, 0, 1, -1, 1, 0, 2])
    maps = tuple(np.arange(8, dtype=np.float32)[:, None, None] * np.full((1, 2, 2), factor) for factor in (1, 100))
    task, sources = task_of(), Sources(store, store.masks, maps, labels)
    rows = task.usable(sources, np.array([7, 4, 3, 1, 0]))
    assert rows.tolist() == [7, 3, 0]
    samples = Samples(sources, rows)
    assert samples.labels.tolist() == [2, 1, 2]
    batch = samples.__getitems__([1, 0])
    assert batch.label.tolist() == [1, 2]
    assert batch.image.shape == (2, 3, 4, 6)
    assert batch.image.float().mean(dim=(1, 2, 3)).tolist() == [30, 70]
    assert batch.mask.sum(dim=(1, 2, 3)).tolist() == [3, 7]
    assert [one[:, 0, 0, 0].tolist() for one in batch.saliency] == [[3, 7], [300, 700]]
    assert Samples(Sources(store, labels=labels), rows).__getitems__([0]).mask.numel() == 0
    with pytest.raises(ValueError, match="the task has no labels"):
        _ = Samples(Sources(store), rows).labels


def test_an_epoch_takes_each_image_once_in_an_order_of_its_own(store: Store) -> None:
    samples = Samples(Sources(store, labels=np.zeros(8, dtype=np.int64)), np.arange(8))
    orders = []
    for seed, epoch in ((0, 0), (0, 1), (5, 0), (0, 0)):
        dataset, sampler = task_of().training_order(samples, seed)
        sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        orders.append(list(sampler))
        assert dataset is samples
        assert sorted(orders[-1]) == list(range(8))
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_further_metrics_are_those_of_scikit_learn() -> None:
    task = ClassificationTask("diagnosis", ClassificationSection(labels=["a", "b", "c"]))
    logits, label = torch.randn(40, 3), torch.randint(0, 3, (40,))
    metrics = task.further_metrics()
    for part in (slice(0, 15), slice(15, 40)):
        task.update_further(metrics, logits[part], Batch(torch.empty(0), label=label[part]))
    said = logits.argmax(1)
    expected = {
        "kappa": cohen_kappa_score(label, said),
        "macro_f1": f1_score(label, said, average="macro"),
        "accuracy": accuracy_score(label, said),
    }
    assert {name: float(one.compute()) for name, one in metrics.items()} == pytest.approx(expected)


def test_the_mask_is_the_fourth_channel_of_what_the_network_sees() -> None:
    section = ClassificationSection(labels=["a", "b"], masking="segmentation", input="image+mask")
    image, mask = torch.rand(2, 3, 6, 8), (torch.rand(2, 1, 6, 8) > 0.5).to(torch.uint8)
    seen = ClassificationTask("diagnosis", section).look(Batch(image, mask)).image
    torch.testing.assert_close(seen, torch.cat([image * mask, mask.float()], dim=1))
