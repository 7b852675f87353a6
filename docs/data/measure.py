"""Indexes, audits and splits real data sets and keeps the numbers beside this script, for `make.py` to write a page of.

python docs/data/measure.py DATA        # a folder that holds ham10000, ph2 and symderm_v2
python docs/data/measure.py DATA RUN    # crops.csv alone: crops found by the features of a run's target

Kept are counts and the names of a few images that findings are about; no image and no table of labels.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from selcn.config import SplitSection
from selcn.data.audit import audit
from selcn.data.catalog import groups
from selcn.data.datasets import in_batches
from selcn.data.duplicates import Duplicate, find_duplicates, fingerprint, match
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image
from selcn.data.rephotographs import find_pairs, neighbours
from selcn.data.sources import Indexed, index_ham10000, index_ph2, join_symmetry, merge_catalogs
from selcn.data.splits.protocols import make_split
from selcn.data.splits.split import EXCLUDED, Split, count_table, leaking_images
from selcn.io.tables import read_table
from selcn.labels import TEST, Protocol
from selcn.models.classifier import Classifier
from selcn.runs.auditing import pooled_features
from selcn.runs.run import Run, open_run

HERE = Path(__file__).parent
COPIED, SEED = 1_000, 0
KNOWN = {"masks": "mask_path", "diagnoses": "diagnosis", "symmetries": "symmetry"}


def main(data: Path) -> None:
    """Measure all."""
    ham = index_ham10000([data / "ham10000"], symmetry=data / "symderm_v2" / "SymDerm_v2_labels.csv")
    ph2 = index_ph2([data / "ph2"])
    merged = merge_catalogs([("ham10000.csv", ham.table), ("ph2.csv", ph2.table)])
    joined = join_symmetry(merged.table, [data / "symderm_v2" / "SymDerm_v2_labels.csv"])
    _write("catalogs.json", {"ham10000": _counted(ham), "ph2": _counted(ph2), "merged with SymDerm": _counted(joined)})

    splits = {
        "grouped": make_split(ham.table, SplitSection(folds=5)),
        "thesis": make_split(ham.table, SplitSection(protocol=Protocol.THESIS, folds=5)),
        "external": make_split(
            joined.table, SplitSection(protocol=Protocol.EXTERNAL, folds=5, test_sources=("ph2",), duplicates=True)
        ),
    }
    tables = {"grouped": ham.table, "thesis": ham.table, "external": joined.table}
    _write("splits.json", {name: _described(split, tables[name]) for name, split in splits.items()})
    for name, split in splits.items():
        count_table(split, tables[name]).rename_axis("part").to_csv(HERE / f"{name}.csv")

    start = time.perf_counter()
    found = audit(joined.table)
    seconds = time.perf_counter() - start
    found.summary().to_csv(HERE / "findings.csv", index=False)
    _write("audit.json", {"images": found.images, "seconds": round(seconds, 1), "blocking": found.blocking})
    originals = {"symmetry": _published(data / "symderm_v2"), "diagnosis": _parts(splits["thesis"])}
    leaks = [one for one in audit(ham.table, originals).findings if one.kind.startswith("leak")]
    rows = [(one.kind, len(one.image_ids), one.detail) for one in leaks]
    pd.DataFrame(rows, columns=["finding", "images", "what"]).to_csv(HERE / "leaks.csv", index=False)
    copies(ham.table).to_csv(HERE / "copies.csv", index=False)


def _counted(indexed: Indexed) -> dict[str, object]:
    table = indexed.table
    lesions = groups(table)
    return {
        "images": len(table),
        "lesions": int(lesions.nunique()),
        **{what: int((table[column] != "").sum()) for what, column in KNOWN.items()},
        "notes": {what: count for what, count in indexed.notes.items() if count},
    }


def _described(split: Split, table: pd.DataFrame) -> dict[str, object]:
    lesion = groups(table)
    part = table["image_id"].map(split.part)
    shared = lesion[(part == TEST) & lesion.isin(lesion[~part.isin([TEST, EXCLUDED])])]
    return {
        "training": int((~part.isin([TEST, EXCLUDED])).sum()),
        "test": int((part == TEST).sum()),
        "leaking": leaking_images(split, table)[TEST],
        "leaking lesions": int(shared.nunique()),
        "lesions in several parts": int((part.groupby(lesion).agg(set).map(len) > 1).sum()),
        "duplicates kept together": len(split.duplicates),
    }


def _published(folder: Path) -> dict[str, frozenset[str]]:
    """The thesis' own split of its symmetry data."""
    parts: dict[str, frozenset[str]] = {}
    for file, part in (("SymDerm_v2_train.csv", "train"), ("SymDerm_v2_test.csv", TEST)):
        parts |= {Path(name).stem: frozenset({part}) for name in read_table(folder / file)["File"]}
    return parts


def _parts(split: Split) -> dict[str, frozenset[str]]:
    return {image: frozenset({TEST if part == TEST else "train"}) for image, part in split.part.items()}


def copies(table: pd.DataFrame) -> pd.DataFrame:
    """Of `COPIED` images sampled at random: how many copies of each kind are found, and false pairs among them all."""
    known = {frozenset((pair.first, pair.second)) for pair in find_duplicates(table)}
    rows = table.sample(COPIED, random_state=SEED)
    images = [read_image(Path(path)) for path in rows["image_path"]]
    return pd.DataFrame([_found(list(rows["image_id"]), images, name, make, known) for name, make in COPIES.items()])


def crops(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """As `copies`, of crops that are found by the features of a run's target."""
    rows = table.sample(COPIED, random_state=SEED)
    lesions = rows["lesion_id"].tolist() * 2
    images = [read_image(Path(path)) for path in rows["image_path"]]
    classifier = run.network(run.graph.target, 0).eval()
    assert isinstance(classifier, Classifier)
    found = []
    for name, share in CROPS.items():
        both = [*images, *(np.ascontiguousarray(_crop(share)(image)) for image in images)]
        prepared = np.stack([resize(image, run.store.size) for image in both])
        features = np.concatenate(
            [pooled_features(classifier, prepared[batch]) for batch in in_batches(np.arange(len(both)))]
        )
        pairs = find_pairs(lambda number, both=both: both[number], neighbours(features))  # type: ignore[misc]
        of_lesion = sum(
            lesions[pair.first] == lesions[pair.second] for pair in pairs if max(pair.first, pair.second) < COPIED
        )
        several = rows["lesion_id"].value_counts()
        found.append(
            {
                "copy": name,
                "found": sum(pair.second == pair.first + COPIED for pair in pairs),
                "false pairs": sum(lesions[pair.first] != lesions[pair.second] for pair in pairs),
                "photographs of one lesion": int((several * (several - 1) // 2).sum()),
                "found of these": of_lesion,
            }
        )
    return pd.DataFrame(found)


def _found(
    image_ids: list[str],
    images: list[np.ndarray],
    name: str,
    make: Callable[[np.ndarray], np.ndarray],
    known: set[frozenset[str]],
) -> dict[str, object]:
    both = [*image_ids, *(f"{image}-copy" for image in image_ids)]
    prints = [fingerprint(str(n).encode(), image) for n, image in enumerate([*images, *(make(one) for one in images)])]
    pairs = [_originals(pair) for pair in match(both, prints)]
    right = sum(len(pair) == 1 for pair in pairs)
    false = {pair for pair in pairs if len(pair) == 2 and pair not in known}
    return {"copy": name, "pictures": len(images), "found": right, "false pairs": len(false)}


def _originals(pair: Duplicate) -> frozenset[str]:
    return frozenset(image.removesuffix("-copy") for image in (pair.first, pair.second))


def _jpeg(image: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _crop(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def cropped(image: np.ndarray) -> np.ndarray:
        top, left = (round(side * share) for side in image.shape[:2])
        return image[top : image.shape[0] - top, left : image.shape[1] - left]

    return cropped


COPIES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG of quality 30": _jpeg,
    "half as large": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "three times as large": lambda image: cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC),
    "brighter by 30": lambda image: cv2.add(image, np.full_like(image, 30)),
    "tinted": lambda image: np.clip(image * np.array([1.1, 1.0, 0.85]), 0, 255).astype(np.uint8),
    "blurred by a pixel": lambda image: cv2.GaussianBlur(image, (0, 0), 1),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "turned by 90°": lambda image: np.rot90(image).copy(),
    "squeezed to a square": lambda image: cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA),
    "2 % cut off each side": _crop(0.02),
    "5 % cut off each side": _crop(0.05),
}


CROPS = {"10 % cut off each side": 0.1}


def _write(name: str, tree: object) -> None:
    (HERE / name).write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ham10000 = index_ham10000([Path(sys.argv[1]) / "ham10000"]).table
        crops(ham10000, open_run(sys.argv[2])).to_csv(HERE / "crops.csv", index=False)
    else:
        main(Path(sys.argv[1]))
