"""Confident learning against a case counted by hand, and what must hold of any probabilities."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.evaluation import Predictions, find_label_errors
from selcn.evaluation.label_errors import COLUMNS, confident_classes, joint_counts
from selcn.labels import LabelSet

# Mean probability of class a over the images labelled a: 1.8 / 3 = 0.6; of b over those labelled b: 1.5 / 3 = 0.5.
FIRST = [0.9, 0.6, 0.3, 0.2, 0.8, 0.5]
LABELS = np.array([0, 0, 0, 1, 1, 1])


def predictions(first: list[float], labels: np.ndarray) -> Predictions:
    names = [f"i{number}" for number in range(len(first))]
    table = pd.DataFrame({"image_id": names, "group": names, "fold": "0", "truth": np.array(["a", "b"])[labels]})
    return Predictions.of(table.assign(a=first, b=1 - np.array(first)))


def test_a_case_counted_by_hand() -> None:
    both = np.stack([FIRST, 1 - np.array(FIRST)], axis=1)
    # i2 is confidently b (0.7), i4 confidently a (0.8), i5 b (0.5), i1 a (0.6, its threshold).
    assert confident_classes(LABELS, both).tolist() == [0, 0, 1, 1, 0, 1]
    found = find_label_errors(predictions(FIRST, LABELS))
    assert found.table.columns.tolist() == COLUMNS
    assert found.table[["rank", "image_id", "given", "suggested"]].to_numpy().tolist() == [
        [1, "i4", "b", "a"],
        [2, "i2", "a", "b"],
    ]
    assert found.table["margin"].tolist() == pytest.approx([-0.6, -0.4])
    assert found.joint.to_numpy().tolist() == [[2, 1], [1, 2]]
    assert (found.estimated, found.images) == (2, 6)


def test_counts_are_scaled_to_the_labels_and_unknown_ones_count_as_right() -> None:
    # Of four images labelled 0 two are confident, one of either class: 2 and 2. Class 2 is confident nowhere.
    labels, suggested = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 1, -1, -1, 1, -1])
    assert joint_counts(labels, suggested, 3).tolist() == [[2, 2, 0], [0, 1, 0], [0, 0, 1]]


def test_a_class_without_images_is_suggested_to_nobody() -> None:
    shares = np.array([[0.3, 0.2, 0.5], [0.2, 0.3, 0.5]])
    assert confident_classes(np.array([0, 1]), shares).tolist() == [0, 1]


Fractions = list[list[Fraction]]


def confident_learning(shares: Fractions, labels: list[int]) -> tuple[Fractions, dict[int, tuple[int, Fraction]]]:
    """The paper's equations 1 to 3 image by image, in exact fractions.

    Returns:
        The joint in images, and the class and margin of each image off the diagonal. A label with no confident image
        counts as right, which the paper leaves open.
    """
    classes = range(len(shares[0]))
    own = {label: [share[label] for share, one in zip(shares, labels, strict=True) if one == label] for label in labels}
    thresholds = {label: sum(several, Fraction()) / len(several) for label, several in own.items()}
    counts, errors = [[0 for _ in classes] for _ in classes], {}
    for image, (share, label) in enumerate(zip(shares, labels, strict=True)):
        confident = [one for one in classes if one in thresholds and share[one] >= thresholds[one]]
        if not confident:
            continue
        true = max(confident, key=lambda one: (share[one], -one))
        counts[label][true] += 1
        if true != label:
            errors[image] = (true, share[label] - share[true])
    joint = []
    for label, row in enumerate(counts):
        known = row if sum(row) else [int(one == label) for one in classes]
        joint.append([Fraction(count * labels.count(label), sum(known)) for count in known])
    return joint, errors


@given(st.integers(2, 5), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_equal_to_confident_learning_as_the_paper_writes_it(classes: int, images: int, seed: int) -> None:
    generator, names = np.random.default_rng(seed), list("abcde")[:classes]
    labels = generator.integers(classes, size=images)
    counts = generator.multinomial(20, generator.dirichlet(np.ones(classes), size=images))
    joint, errors = confident_learning([[Fraction(int(n), 20) for n in row] for row in counts], labels.tolist())
    table = pd.DataFrame(counts / 20, columns=names).assign(image_id=range(images), group=range(images), fold="0")
    table = table.assign(truth=np.array(names)[labels])
    found = find_label_errors(Predictions.of(table, labels=LabelSet.of(names)))
    np.testing.assert_allclose(found.joint.to_numpy(), np.array(joint, dtype=np.float64))
    wrong = found.table.assign(image=found.table["image_id"].astype(int)).set_index("image")
    assert wrong["suggested"].to_dict() == {image: names[true] for image, (true, _) in errors.items()}
    margins = [errors[image][1] for image in wrong.index]
    assert margins == sorted(margins)
    assert wrong["margin"].tolist() == pytest.approx([float(margin) for margin in margins])


@given(st.lists(st.floats(0, 1), min_size=4, max_size=12), st.integers(1, 3))
def test_what_holds_of_any_probabilities(first: list[float], ones: int) -> None:
    labels = np.array([1] * ones + [0] * (len(first) - ones))
    found = find_label_errors(predictions(first, labels))
    assert found.joint.sum(axis=1).tolist() == pytest.approx([len(first) - ones, ones])
    assert (found.table["given"] != found.table["suggested"]).all()
    assert found.table["margin"].is_monotonic_increasing
