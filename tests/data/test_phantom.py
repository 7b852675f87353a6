"""The phantom's claims, checked on its pixels: mirror images by flipping arrays, frames by SciPy's interpolation."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from selcn.data.catalog import read_catalog
from selcn.data.imaging.read import read_image, read_mask
from selcn.data.phantom import contact_sheet, write_phantom
from selcn.data.phantom.appearance import Lesion, draw_lesion
from selcn.data.phantom.photograph import Photograph
from selcn.data.phantom.plan import LesionPlan, plan_lesions
from selcn.data.phantom.write import photograph_lesion
from selcn.errors import ConfigError, DataError
from selcn.labels import HAM10000, SYMMETRY

SKIN = np.array([0.9, 0.73, 0.66])
SIZE = (160, 120)

a_seed = st.integers(0, 2**32)
a_diagnosis = st.sampled_from(HAM10000.names)


def drawn(seed: int, diagnosis: str, symmetry: str, resolution: int = 96) -> Lesion:
    return draw_lesion(np.random.default_rng(seed), diagnosis, symmetry, resolution)


def photographed(seed: int, diagnosis: str, symmetry: str) -> Photograph:
    return next(photograph_lesion(LesionPlan(1, diagnosis, symmetry, 1, 1), seed, SIZE))


def on_skin(lesion: Lesion) -> NDArray[np.float64]:
    return np.asarray(SKIN + lesion.coverage[..., None] * (lesion.colour - SKIN), dtype=np.float64)


def mask_overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Jaccard."""
    return float((one & other).sum() / (one | other).sum())


def colour_difference(lesion: Lesion, degrees: float) -> float:
    """Mean colour distance of the lesion on skin from its mirror image about an axis at an angle, where either is."""
    radians = np.radians(2 * degrees)
    reflection = np.array([[np.cos(radians), np.sin(radians)], [np.sin(radians), -np.cos(radians)]])
    middle = np.full(2, (lesion.frame.resolution - 1) / 2)
    rows_first = reflection[::-1, ::-1]
    offset = middle - rows_first @ middle
    # Blurred first, so that what counts is where colour is, and not that fine texture falls on other texture.
    blurred = ndimage.gaussian_filter(on_skin(lesion), (3, 3, 0))
    mirrored = np.stack(
        [ndimage.affine_transform(blurred[..., c], rows_first, offset, order=1, mode="nearest") for c in range(3)], -1
    )
    covered = ndimage.affine_transform(lesion.coverage, rows_first, offset, order=1)
    return float(np.linalg.norm(blurred - mirrored, axis=-1)[np.maximum(lesion.coverage, covered) > 0.5].mean())


@settings(max_examples=20)
@given(a_seed, a_diagnosis)
def test_two_axes_lesion_equals_its_mirror_images_about_both_axes(seed: int, diagnosis: str) -> None:
    lesion = drawn(seed, diagnosis, "two-axes")
    for axis in (0, 1):
        np.testing.assert_array_equal(lesion.coverage, np.flip(lesion.coverage, axis))
        np.testing.assert_array_equal(lesion.colour, np.flip(lesion.colour, axis))
    assert not lesion.asymmetry.any()


@settings(max_examples=20)
@given(a_seed, a_diagnosis)
def test_one_axis_lesion_is_symmetric_about_exactly_one(seed: int, diagnosis: str) -> None:
    lesion = drawn(seed, diagnosis, "one-axis")
    same = [axis for axis in (0, 1) if np.array_equal(on_skin(lesion), np.flip(on_skin(lesion), axis))]
    assert len(same) == 1
    other = 90 if same == [0] else 0
    assert colour_difference(lesion, other) > 0.06
    mask = lesion.coverage >= 0.5
    assert mask_overlap(mask, np.flip(mask, 1 - same[0])) < 0.93


@settings(max_examples=20)
@given(a_seed, a_diagnosis)
def test_asymmetric_lesion_is_symmetric_about_no_axis(seed: int, diagnosis: str) -> None:
    lesion = drawn(seed, diagnosis, "asymmetric")
    assert min(colour_difference(lesion, degrees) for degrees in range(0, 180, 10)) > 0.03
    mask = lesion.coverage >= 0.5
    for axis in (0, 1):
        assert mask_overlap(mask, np.flip(mask, axis)) < 0.93
        assert np.abs(lesion.colour - np.flip(lesion.colour, axis))[mask].max() > 0.05


@settings(max_examples=20)
@given(a_seed, a_diagnosis, st.sampled_from(["asymmetric", "one-axis"]))
def test_asymmetry_is_where_the_lesion_differs_from_its_mirror_images(seed: int, diagnosis: str, symmetry: str) -> None:
    lesion = drawn(seed, diagnosis, symmetry)
    inside, odd = lesion.coverage > 0.6, lesion.asymmetry > 0.01
    for axis in (0, 1):
        differs = np.abs(lesion.colour - np.flip(lesion.colour, axis)).max(axis=-1) > 0.02
        explained = odd | np.flip(odd, axis)
        assert not (differs & inside & np.flip(inside, axis) & ~explained).any()
    assert (lesion.asymmetry[inside] > 0.5).mean() >= 0.12


@pytest.mark.parametrize("symmetry", SYMMETRY.names)
@pytest.mark.parametrize("seed", range(4))
def test_placement_brings_the_photograph_back_to_the_frame(seed: int, symmetry: str) -> None:
    photograph = photographed(seed, "nv", symmetry)
    points = np.linspace(-1.5, 1.5, 201)
    x, y = np.meshgrid(points, points)
    column, row = np.tensordot(photograph.placement, np.stack([x, y, np.ones_like(x)]), axes=1)
    mask = ndimage.map_coordinates(photograph.mask / 255.0, [row, column], order=1) >= 0.5
    overlaps = [mask_overlap(mask, np.flip(mask, axis)) for axis in (0, 1)]
    symmetric_about = sum(overlap > 0.955 for overlap in overlaps)
    assert symmetric_about == SYMMETRY.names.index(symmetry), overlaps


@settings(max_examples=15)
@given(a_seed, a_diagnosis, st.sampled_from(SYMMETRY.names))
def test_photograph_shows_the_whole_lesion_and_its_asymmetry(seed: int, diagnosis: str, symmetry: str) -> None:
    photograph = photographed(seed, diagnosis, symmetry)
    lesion = photograph.mask == 255
    assert set(np.unique(photograph.mask)) == {0, 255}
    assert 0.05 < lesion.mean() < 0.6
    assert lesion[1:-1, 1:-1].sum() == lesion.sum()
    assert not photograph.asymmetry[~lesion].any()
    if symmetry == "two-axes":
        assert not photograph.asymmetry.any()
    else:
        assert (photograph.asymmetry[lesion] > 127).mean() >= 0.12


@settings(max_examples=15)
@example(2118164917, "df", "bcc", "one-axis")
@example(1061961622, "mel", "df", "one-axis")
@given(a_seed, a_diagnosis, a_diagnosis, st.sampled_from(SYMMETRY.names))
def test_surroundings_do_not_depend_on_diagnosis_or_symmetry(
    seed: int, diagnosis: str, other: str, symmetry: str
) -> None:
    one, two = photographed(seed, diagnosis, "two-axes"), photographed(seed, other, symmetry)
    # Not by dilation, whose diamond is nearer at its corners: there the pigment of a soft border still shows.
    away = ndimage.distance_transform_edt((one.mask | two.mask) == 0) > 24
    assert away.mean() > 0.02
    # A lesion's soft border is nowhere quite zero: one grey level is left to rounding.
    assert np.abs(one.image[away].astype(int) - two.image[away]).max() <= 1


def test_plan_holds_the_diagnoses_in_their_shares_everywhere() -> None:
    plans = list(plan_lesions(3000, seed=5))
    diagnoses = [plan.diagnosis for plan in plans]
    for start in range(0, len(plans) - 48, 24):
        assert min(Counter(diagnoses[start : start + 24])[d] for d in HAM10000.names) == 2
    shares = Counter(diagnoses)
    assert shares.most_common(1)[0][0] == "nv"
    assert min(shares.values()) / len(plans) > 0.08
    assert min(Counter(diagnoses[:60]).values()) >= 4


def test_symmetry_goes_with_diagnosis_in_part() -> None:
    plans = list(plan_lesions(4000, seed=6))
    asymmetric = {
        d: np.mean([plan.symmetry == "asymmetric" for plan in plans if plan.diagnosis == d]) for d in HAM10000.names
    }
    assert 0.7 < asymmetric["mel"] < 0.9
    assert 0.15 < asymmetric["nv"] < 0.35
    assert max(asymmetric["vasc"], asymmetric["df"]) < 0.25
    assert min(asymmetric.values()) > 0


def test_longer_plan_begins_with_the_shorter() -> None:
    short, long = list(plan_lesions(100, seed=3)), list(plan_lesions(200, seed=3))
    assert long[: len(short) - 1] == short[:-1]
    assert sum(plan.photographs for plan in short) == 100
    assert {plan.photographs for plan in long} == {1, 2, 3, 4}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return read_catalog(write_phantom(tmp_path_factory.mktemp("phantom") / "out", images=160, seed=11, size=(80, 60)))


def test_catalog_describes_every_file(written: pd.DataFrame) -> None:
    assert len(written) == 160
    assert written["image_id"].iloc[0] == "PH_0000001"
    assert (written["source"] == "phantom").all()
    folder = Path(written["image_path"].iloc[0]).parents[1]
    raw = pd.read_csv(folder / "catalog.csv", dtype=str, keep_default_na=False)
    assert raw["image_path"].iloc[2] == "images/PH_0000003.png"
    assert raw["asymmetry_path"].iloc[2] == "asymmetry/PH_0000003.png"
    for name in ("images", "masks", "asymmetry"):
        assert sorted(path.stem for path in (folder / name).iterdir()) == sorted(written["image_id"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["images", "masks", "asymmetry", "catalog.csv", "contact-sheet.png"]
    )
    assert read_image(Path(written["image_path"].iloc[5])).shape == (60, 80, 3)


def test_photographs_of_a_lesion_share_its_labels(written: pd.DataFrame) -> None:
    lesions = written.groupby("lesion_id")
    assert lesions.size().between(1, 4).all()
    assert lesions.size().max() > 1
    assert len(written[["lesion_id", "diagnosis", "symmetry"]].drop_duplicates()) == lesions.ngroups


def cross_validated(written: pd.DataFrame, features: list[NDArray[np.float64]]) -> float:
    """Balanced accuracy of a linear classifier of the diagnosis, no lesion in both parts."""
    folds = GroupKFold(5).split(features, groups=written["lesion_id"])
    found = cross_val_predict(LinearDiscriminantAnalysis(), np.array(features), written["diagnosis"], cv=folds)
    return float(balanced_accuracy_score(written["diagnosis"], found))


def colour_features(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), np.percentile(pixels, 10, axis=0)])


def test_diagnosis_shows_in_the_lesion_and_not_around_it(written: pd.DataFrame) -> None:
    inside, around = [], []
    for row in written.itertuples():
        image, mask = read_image(Path(str(row.image_path))), read_mask(Path(str(row.mask_path)))
        inside.append(colour_features(image[mask]))
        around.append(colour_features(image[~ndimage.binary_dilation(mask, iterations=6)]))
    assert 0.55 < cross_validated(written, inside) < 0.95
    assert cross_validated(written, around) < 0.25  # chance is 1/7


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_on_any_number_of_processes(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        write_phantom(out, images=10, seed=4, size=(64, 48), jobs=jobs, on_progress=lambda *p: done.append(p))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    assert done.count((10, 10)) == 2


def test_other_seed_other_picture() -> None:
    one, two = (photographed(seed, "nv", "two-axes") for seed in (4, 5))
    assert (one.image != two.image).mean() > 0.5
    assert (one.mask != two.mask).any()


def test_nothing_is_left_where_drawing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(table: pd.DataFrame, path: Path) -> None:
        assert path.parent.joinpath("images").is_dir()
        raise OSError(f"no space for {len(table)} rows")

    monkeypatch.setattr(contact_sheet, "draw_contact_sheet", fail)
    with pytest.raises(OSError, match="no space for 2 rows"):
        write_phantom(tmp_path / "out", images=2, seed=0, size=(64, 48))
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(DataError, match="exists already; choose another folder"):
        write_phantom(tmp_path, images=2, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    ("images", "seed", "size", "jobs", "fault"),
    [
        (0, 1, SIZE, 1, "images: 0"),
        (1, -1, SIZE, 1, "seed: -1"),
        (1, 1, (160, 20), 1, "size: 160x20"),
        (1, 1, (5000, 120), 1, "size: 5000x120"),
        (1, 1, SIZE, 0, "jobs: 0"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, images: int, seed: int, size: tuple[int, int], jobs: int, fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        write_phantom(tmp_path / "out", images=images, seed=seed, size=size, jobs=jobs)
    assert not list(tmp_path.iterdir())
