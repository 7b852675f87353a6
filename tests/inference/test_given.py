"""Given results against predicted ones: what depends on them follows, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.imaging.masks import grown_boxes
from selcn.errors import DataError
from selcn.inference.assembly import build_cascade
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.given import Given
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction
from selcn.inference.row import flatten
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Fusion
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble
from selcn.models.explained import explain
from selcn.models.masking import apply_masking

WIDTH, HEIGHT = 64, 48
IMAGES = list(np.random.default_rng(0).integers(0, 255, (3, HEIGHT, WIDTH, 3), dtype=np.uint8))
LEFT = np.zeros((HEIGHT, WIDTH), bool)
LEFT[10:30, 5:25] = True


@pytest.fixture(scope="module")
def single() -> Predictor:
    """One member, whose own predictions are those of the ensemble; its weights make masks, maps and classes differ."""
    torch.manual_seed(0)
    specs: dict[str, SegmenterSpec | ClassifierSpec] = {
        "lesion": SegmenterSpec(architecture="Unet", encoder="tu-test_resnet"),
        "symmetry": ClassifierSpec(labels="symmetry-binary", backbone="test_resnet", masking="lae"),
        "diagnosis": ClassifierSpec(labels="ham10000", backbone="test_resnet", reads={"symmetry": Fusion.CONCAT}),
    }
    cascade = build_cascade(specs).eval()
    for network in cascade.networks.values():
        for layer in network.modules() if isinstance(network, Classifier) else ():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight)
    prepare = Preparation(size=(WIDTH, HEIGHT), hair=False)
    config = BundleConfig(selcn="0", name="x", prepare=prepare, networks=specs, target="diagnosis", members=1, split="")
    return Predictor(config, TorchEngine(Ensemble([cascade])))


def alike(one: Prediction, other: Prediction, *networks: str, tolerance: float = 1e-6) -> bool:
    """Whether maps and probabilities of the networks are the same."""
    return all(
        np.abs(one[name].saliency - other[name].saliency).max() < tolerance
        and np.allclose(
            list(one[name].probabilities.values()), list(other[name].probabilities.values()), atol=tolerance
        )
        for name in networks
    )


def mask_of(prediction: Prediction) -> np.ndarray:
    assert prediction.lesion is not None
    return prediction.lesion.mask


def test_giving_back_what_was_predicted_changes_nothing(single: Predictor) -> None:
    for image in IMAGES:
        own = single.predict(image)
        name = own["symmetry"].prediction
        mask, saliency = mask_of(own), own["symmetry"].saliency
        for given in (Given(mask=mask), Given(saliency={"symmetry": saliency})):
            assert alike(single.predict(image, given), own, "symmetry", "diagnosis")
        known = single.predict(image, Given(mask, {"symmetry": name}, {"symmetry": saliency}))
        assert alike(known, own, "diagnosis")
        assert known["symmetry"].probabilities == {one: float(one == name) for one in ("asymmetric", "symmetric")}
        assert np.abs(known["symmetry"].saliency - saliency).max() < 1e-6
        assert known.given == ("mask", "symmetry", "symmetry_saliency")


def test_another_class_gives_the_map_of_that_class_to_what_reads_it(single: Predictor) -> None:
    (cascade,) = single.run.ensemble.members  # type: ignore[attr-defined]
    images = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2) / 255
    for number, name in enumerate(["asymmetric", "symmetric"]):
        for row, image in enumerate(IMAGES):
            known = single.predict(image, Given(mask=LEFT, classes={"symmetry": name}))
            with torch.inference_mode():
                seen = apply_masking(images[[row]], torch.from_numpy(LEFT)[None, None].float(), "lae")
                output = cascade.networks["symmetry"].trace(seen)
                expected = explain(output, torch.tensor([number]))
                logits = cascade.networks["diagnosis"](images[[row]], [expected])
            assert np.abs(known["symmetry"].saliency - expected[0, 0].numpy()).max() < 1e-5
            said = list(known["diagnosis"].probabilities.values())
            assert said == pytest.approx(logits.softmax(1)[0].tolist(), abs=1e-5)


def test_a_given_mask_is_answered_and_the_segmenter_passes_over_it(
    single: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cascade,) = single.run.ensemble.members  # type: ignore[attr-defined]
    segment, seen = cascade.segment, []

    def watched(name: str, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        lesion: torch.Tensor = segment(name, images)
        return lesion

    monkeypatch.setattr(cascade, "segment", watched)
    large = np.repeat(np.repeat(IMAGES[0], 3, axis=0), 3, axis=1)
    mask = np.zeros(large.shape[:2], np.uint8)
    mask[31:77, 40:99] = 255
    first, second, third = single.predict_batch([IMAGES[1], large, IMAGES[2]], [Given(), Given(mask=mask), Given()])
    assert seen == [2]
    assert np.array_equal(mask_of(second), mask > 0)
    assert second.lesion is not None
    assert second.lesion.box == tuple(grown_boxes(mask[None] > 0)[0].tolist())
    assert {tuple(point) for point in second.lesion.outline.tolist()} == {(40, 31), (40, 76), (98, 76), (98, 31)}
    assert alike(first, single.predict(IMAGES[1]), "symmetry", "diagnosis", tolerance=1e-5)
    assert alike(third, single.predict(IMAGES[2]), "symmetry", "diagnosis", tolerance=1e-5)
    assert (first.given, second.given) == ((), ("mask",))
    single.predict_batch(IMAGES, [Given(mask=LEFT)] * 3)
    assert seen == [2, 1, 1]


def test_what_depends_on_a_given_result_changes_and_nothing_else(single: Predictor) -> None:
    image = IMAGES[0]
    own = single.predict(image)
    gradient = np.tile(np.linspace(0, 0.5, 40), (30, 1))
    saliency = single.predict(image, Given(saliency={"symmetry": gradient}))
    assert np.array_equal(mask_of(saliency), mask_of(own))
    assert saliency["symmetry"].probabilities == own["symmetry"].probabilities
    assert (saliency["symmetry"].saliency.min(), saliency["symmetry"].saliency.max()) == (0, 1)
    assert not alike(saliency, own, "diagnosis", tolerance=1e-3)
    # Symmetry sees the image under the mask, diagnosis the whole image: with the old map given, no mask reaches it.
    masked = single.predict(image, Given(mask=LEFT, saliency={"symmetry": own["symmetry"].saliency}))
    assert alike(masked, own, "diagnosis")
    assert not np.array_equal(mask_of(masked), mask_of(own))
    assert not alike(single.predict(image, Given(mask=LEFT)), own, "symmetry", tolerance=1e-3)
    # The target's class is read by nothing.
    target = single.predict(image, Given(classes={"diagnosis": "mel"}))
    assert alike(target, own, "symmetry")
    assert target["diagnosis"].prediction == "mel"
    flat = single.predict(image, Given(saliency={"symmetry": np.full((5, 5), 0.7)}))
    assert not flat["symmetry"].saliency.any()


def test_rows_name_what_was_given(single: Predictor) -> None:
    own, known = single.predict_batch(IMAGES[:2], [Given(), Given(mask=LEFT, classes={"symmetry": "symmetric"})])
    assert "given" not in own.to_json()
    assert known.to_json()["given"] == ["mask", "symmetry"]
    assert flatten(known.to_json(), single.config)["given"] == "mask; symmetry"


def test_wrong_results_are_one_line(single: Predictor) -> None:
    wrong = [
        (Given(classes={"streaks": "present"}), r"given streaks: no classification network; there are symmetry, diag"),
        (Given(classes={"lesion": "x"}), "given lesion: no classification network"),
        (Given(classes={"symmetry": "odd"}), "given symmetry: 'odd' is no class; it knows asymmetric, symmetric"),
        (Given(mask=LEFT[1:]), "given mask: is 64x47, its image 64x48"),
        (Given(mask=np.zeros((HEIGHT, WIDTH, 3), bool)), "given mask: is 3x64x48, its image 64x48"),
        (Given(saliency={"symmetry": np.array([[0.0, 2.0]])}), "given symmetry_saliency: no map of values from 0 to 1"),
        (Given(saliency={"symmetry": np.array([[0.0, np.nan]])}), "no map of values from 0 to 1"),
        (Given(saliency={"symmetry": np.zeros((2, 2, 2))}), "no map of values from 0 to 1"),
    ]
    for given, said in wrong:
        with pytest.raises(DataError, match=said):
            single.predict(IMAGES[0], given)
    alone = single.config.model_copy(update={"networks": {"one": ClassifierSpec(labels=["a", "b"])}, "target": "one"})
    with pytest.raises(DataError, match="bundle x has no segmentation network; leave the mask out"):
        Predictor(alone, single.run).check(Given(mask=LEFT))
