"""How images are dealt to subsets: by whole groups, as the thesis did, or with another source as the test subset."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from selcn.config import SplitSection
from selcn.data.catalog import catalog_hash, groups
from selcn.data.duplicates import find_duplicates
from selcn.data.splits.split import EXCLUDED, Split, check_split
from selcn.errors import DataError
from selcn.labels import CALIBRATION, CONCEPTS, TEST, UNKNOWN, LabelSet, Protocol, main_group

Pairs = Sequence[tuple[str, str]]


def make_split(
    table: pd.DataFrame,
    section: SplitSection,
    *,
    labels: LabelSet | None = None,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Split:
    """Deal a catalog's images as the configuration says; reads the images where duplicates are to stay together.

    Args:
        table: a validated catalog.
        section: what is wanted; its ``path`` is not read.
        labels: whose classes every part must have; None for the diagnoses' main groups (see `selcn.labels.main_group`).
        jobs: threads that read images, all cores by default.
        on_progress: called with images read and images in all.

    Raises:
        DataError: images cannot be read, or the images cannot be dealt so.
    """
    folds, seed = section.folds, section.seed
    if section.protocol is Protocol.THESIS:
        return thesis_split(table, folds=folds, test=section.test, seed=seed)
    found = find_duplicates(table, jobs=jobs, on_progress=on_progress) if section.duplicates else []
    duplicates = [(one.first, one.second) for one in found]
    if section.protocol is Protocol.EXTERNAL:
        return external_split(table, section.test_sources, labels=labels, folds=folds, seed=seed, duplicates=duplicates)
    return grouped_split(
        table,
        labels=labels,
        folds=folds,
        test=section.test,
        calibration=section.calibration,
        seed=seed,
        duplicates=duplicates,
    )


def grouped_split(
    table: pd.DataFrame,
    *,
    labels: LabelSet | None = None,
    folds: int = 3,
    test: float = 0.2,
    calibration: float = 0.0,
    seed: int = 42,
    duplicates: Pairs = (),
) -> Split:
    """Deal whole groups to a test subset and ``folds`` folds, as near to stratified as groups allow.

    Stratified over class and symmetry together, so that one split serves all networks; strata of rare labels are dealt
    first. Within a stratum the largest groups are dealt first, each to a part that has none of its classes, else to the
    one that lacks most of that stratum, of that diagnosis, of that symmetry, and of all. Lacks are relative to the
    part's share: by number of images the larger parts would get the lesions with many images, which are harder, and the
    smaller parts those with one.

    Args:
        table: a validated catalog.
        labels: classes to stratify by; None for the diagnoses' main groups (see `selcn.labels.main_group`).
        folds: number of folds, at least 2.
        test: share of the images held out for testing, 0 for none.
        calibration: share of the images that no network is trained on, for the calibration of the ensemble.
        seed: orders groups of equal size.
        duplicates: pairs of image_id that stay in one subset whatever lesion they are said to show.

    Raises:
        DataError: a class has fewer groups than there are subsets, so that a subset would lack it.

    Example:
        >>> from selcn.data.catalog import complete_catalog
        >>> rows = [{"image_id": f"{lesion}-{shot}", "image_path": "x.png", "lesion_id": str(lesion),
        ...          "diagnosis": ("nv", "mel")[lesion % 2]} for lesion in range(12) for shot in range(2)]
        >>> split = grouped_split(complete_catalog(pd.DataFrame(rows), "rows"), folds=2, test=0.25)
        >>> split.parts, all(split.part[f"{lesion}-0"] == split.part[f"{lesion}-1"] for lesion in range(12))
        (['0', '1', 'test'], True)
    """
    held = {name: share for name, share in ((CALIBRATION, calibration), (TEST, test)) if share}
    parts = [*(str(fold) for fold in range(folds)), *held]
    share = np.array([(1 - calibration - test) / folds] * folds + [*held.values()])
    group = groups(table, duplicates)
    strata = _strata(table, labels)
    part = _dealt(strata, group, parts, share, seed)
    _refuse_missing_class(strata, part, parts)
    return _checked(Protocol.GROUPED, table, part, group, folds, seed, duplicates)


def external_split(
    table: pd.DataFrame,
    sources: Sequence[str],
    *,
    labels: LabelSet | None = None,
    folds: int = 3,
    seed: int = 42,
    duplicates: Pairs = (),
) -> Split:
    """Hold out whole sources as the test subset, and deal the groups of all others to folds.

    Images of other sources that share a patient, a lesion or a duplicate with the test subset are excluded from every
    part, or they would leak.

    Args:
        table: a validated catalog.
        sources: names of the catalog's `source`, at least one.
        labels: classes to stratify the folds by; see `grouped_split`.
        folds: how many, at least 2.
        seed: orders groups of equal size.
        duplicates: pairs of image_id that are one group.

    Raises:
        DataError: no image has that source, none has another, or as for `grouped_split`.
    """
    known = sorted(set(table["source"]) - {""})
    strange = [source for source in sources if source not in known]
    if strange or not sources:
        missing = ", ".join(strange) or "(none given)"
        raise DataError(f"source {missing} is not in the catalog; known there: {', '.join(known) or 'none'}")
    group, held = groups(table, duplicates), table["source"].isin(sources)
    touched = group.isin(group[held])
    if touched.all():
        raise DataError(f"every image is of, or shares a group with, source {', '.join(sources)}; name fewer sources")
    names = [str(fold) for fold in range(folds)]
    part = pd.Series(np.where(held, TEST, EXCLUDED), index=table.index)
    strata = _strata(table, labels)[~touched]
    part[~touched] = _dealt(strata, group[~touched], names, np.full(folds, 1 / folds), seed)
    _refuse_missing_class(strata, part[~touched], names)
    return _checked(Protocol.EXTERNAL, table, part, group, folds, seed, duplicates)


def thesis_split(table: pd.DataFrame, *, folds: int = 4, test: float = 0.2, seed: int = 42) -> Split:
    """The original's protocol, by image, stratified by diagnosis: for comparison only, since it divides lesions.

    ``train_test_split`` and then ``StratifiedKFold`` with one seed, on the rows in the catalog's order. The original
    made its folds after adding turned copies of the images; here they are made of the images themselves. What intervals
    resample is the lesion within its part.

    Args:
        table: a validated catalog.
        folds: how many, at least 2.
        test: share of the images in the test subset, in (0, 1).
        seed: of both shuffles.

    Raises:
        DataError: no test subset is wanted, or a diagnosis is unknown or has too few images.
    """
    if not test:
        raise DataError("the thesis protocol has a test part; give its share, such as --test 0.2")
    unknown = int((table["diagnosis"] == "").sum())
    if unknown:
        raise DataError(
            f"{unknown} images have no diagnosis, by which the thesis protocol stratifies; remove their rows"
        )
    rows, part = np.arange(len(table)), pd.Series(TEST, index=table.index)
    diagnosis = table["diagnosis"].to_numpy()
    rare, images = table["diagnosis"].value_counts().index[-1], int(table["diagnosis"].value_counts().iloc[-1])
    if images < folds + 2:
        raise DataError(
            f"diagnosis {rare} has {images} images, too few for {folds} folds and a test part; use fewer folds"
        )
    training, _ = train_test_split(rows, test_size=test, stratify=diagnosis, random_state=seed)
    dealer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held) in enumerate(dealer.split(training, diagnosis[training])):
        part.iloc[training[held]] = str(fold)
    return _checked(Protocol.THESIS, table, part, groups(table) + " in " + part, folds, seed, ())


def _checked(
    protocol: Protocol, table: pd.DataFrame, part: pd.Series, group: pd.Series, folds: int, seed: int, duplicates: Pairs
) -> Split:
    parts, units = (dict(zip(table["image_id"], column, strict=True)) for column in (part, group))
    split = Split(protocol, parts, units, folds, seed, catalog_hash(table), tuple(duplicates))
    check_split(split, table, "split")
    return split


def _strata(table: pd.DataFrame, labels: LabelSet | None) -> pd.DataFrame:
    """What images are stratified by: `image_id, diagnosis, symmetry`, and whether every part needs the diagnosis."""
    if labels is None:
        diagnosis = table["diagnosis"].map(main_group)
        needed = diagnosis.isin(CONCEPTS) & (diagnosis != UNKNOWN)
    else:
        if labels.column not in table:
            raise DataError(
                f"label set {labels.name}: the catalog has no column {labels.column}; add it or name another"
            )
        diagnosis = table[labels.column].map({word: labels.class_of(word) for word in table[labels.column].unique()})
        needed = diagnosis != ""
    return table[["image_id", "symmetry"]].assign(diagnosis=diagnosis, needed=needed)


def _dealt(table: pd.DataFrame, group: pd.Series, parts: list[str], share: np.ndarray, seed: int) -> pd.Series:
    """The part of each image, whole groups dealt."""
    table = table.assign(group=group)
    _refuse_rare_classes(table, len(parts))
    units = table.groupby("group", sort=True).agg(
        diagnosis=("diagnosis", "max"), symmetry=("symmetry", "max"), images=("image_id", "size")
    )
    units = units.iloc[np.random.default_rng(seed).permutation(len(units))]
    units = units.sort_values("images", ascending=False, kind="stable")
    part_of = _deal(units, share)
    return table["group"].map(lambda name: parts[part_of[name]])


def _deal(units: pd.DataFrame, share: np.ndarray) -> dict[str, int]:
    labelled = Counter(label for pair in zip(units["diagnosis"], units["symmetry"], strict=True) for label in set(pair))
    images_of = units.groupby(["diagnosis", "symmetry"], sort=True)["images"].sum()
    rarest_first = sorted(images_of.index, key=lambda pair: (*sorted(labelled[one] for one in pair), images_of[pair]))
    lack_all = np.full(len(share), float(units["images"].sum()))
    lack_of = {
        (column, name): np.full(len(share), float(total))
        for column in ("diagnosis", "symmetry")
        for name, total in units.groupby(column)["images"].sum().items()
    }
    held: list[set[str]] = [set() for _ in share]
    # Groups of each label beyond those that parts without it need: the fewer, the more urgent such a part is.
    spare = Counter({label: groups - len(share) for label, groups in labelled.items()})
    part_of: dict[str, int] = {}
    for diagnosis, symmetry in rarest_first:
        members = units[(units["diagnosis"] == diagnosis) & (units["symmetry"] == symmetry)]
        of_stratum = np.full(len(share), float(members["images"].sum()))
        lacks = (of_stratum, lack_of["diagnosis", diagnosis], lack_of["symmetry", symmetry], lack_all)
        labels = {diagnosis, symmetry}
        for group, images in zip(members.index, members["images"], strict=True):
            best = max(range(len(share)), key=lambda part: _need(part, labels - held[part], spare, lacks))
            part_of[group] = best
            spare.subtract(labels & held[best])
            held[best] |= labels
            for lack in lacks:
                lack[best] -= images / share[best]
    return part_of


def _need(part: int, not_held: set[str], spare: Mapping[str, int], lacks: tuple[np.ndarray, ...]) -> tuple[float, ...]:
    # A part without a class comes first, or small parts would be left without the rare ones. Rounding lets ties in the
    # stratum be settled by the diagnosis, those by the symmetry, and those by the whole.
    urgent = sum(1 / (1 + max(0, spare[label])) for label in not_held)
    return round(urgent, 6), *(round(float(lack[part]), 6) for lack in lacks)


def _refuse_missing_class(table: pd.DataFrame, part: pd.Series, parts: list[str]) -> None:
    for column, needed in (("diagnosis", table["needed"]), ("symmetry", table["symmetry"] != "")):
        counts = pd.crosstab(part[needed], table[column][needed]).reindex(parts, fill_value=0)
        if (counts == 0).any(axis=None):
            name = (counts == 0).any().idxmax()
            raise DataError(
                f"split: part {counts[name].idxmin()} holds no {column} {name}; use fewer folds or another seed"
            )


def _refuse_rare_classes(table: pd.DataFrame, parts: int) -> None:
    for column, needed in (("diagnosis", table["needed"]), ("symmetry", table["symmetry"] != "")):
        counts = table[needed].groupby(column)["group"].nunique()
        for name, count in counts[counts < parts].items():
            raise DataError(
                f"{column} {name} has {count} groups, too few for {parts} parts (test and folds); use fewer folds or "
                f"remove its images from the catalog"
            )
