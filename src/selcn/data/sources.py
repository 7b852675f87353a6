"""Public data sets' own layouts -> catalog."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import complete_catalog
from selcn.errors import DataError
from selcn.labels import Symmetry

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


def find_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted.

    Raises:
        DataError: no such folder, or it holds no images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such file or folder; check the path")
    # Names with a leading dot are what systems and editors leave beside pictures.
    named = (path for path in folder.rglob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES)
    found = sorted(path for path in named if path.is_file())
    if not found:
        raise DataError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); check the path")
    return found


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among ``paths``, whatever their suffix, and the image files below its folders.

    Raises:
        DataError: a path does not exist, or a folder holds no images.
    """
    return [found for path in paths for found in ([path] if path.is_file() else find_images(path))]


def index_folder(path: Path, *, masks: Path | None = None) -> pd.DataFrame:
    """A folder of images, or of one sub-folder a diagnosis, as a catalog.

    Masks are matched by file stem, with or without a `_segmentation` or `_mask` ending.

    Raises:
        DataError: the folder holds no images, a sub-folder is no diagnosis, or two images share a stem.
    """
    images = find_images(path)
    mask_of = _masks_by_stem(find_images(masks)) if masks else {}
    if masks and not any(image.stem in mask_of for image in images):
        raise DataError(f"{masks}: no mask is named after an image of {path}; name them IMAGE_mask.png or IMAGE.png")
    rows = [
        {
            "image_id": image.stem,
            "image_path": str(image),
            "mask_path": mask_of.get(image.stem, ""),
            "diagnosis": "" if image.parent == path else image.relative_to(path).parts[0].lower(),
            "source": path.name,
        }
        for image in images
    ]
    return complete_catalog(pd.DataFrame(rows), str(path))


def index_ham10000(paths: Iterable[Path], *, symmetry: Path | None = None) -> pd.DataFrame:
    """HAM10000 (Tschandl et al. 2018) as a catalog: its metadata table, images and masks found below ``paths``.

    Args:
        paths: folders that together hold the images, the masks (optional) and one metadata CSV.
        symmetry: SymDerm's label CSV, joined by image.

    Raises:
        DataError: no or several metadata tables, a column is missing, or images are missing.
    """
    folders = list(paths)
    named = (path for folder in folders for path in folder.rglob("*metadata*") if path.suffix in ("", ".csv"))
    tables = sorted(path for path in named if path.is_file())
    if len(tables) != 1:
        raise DataError(
            f"{', '.join(map(str, folders))}: {len(tables)} metadata tables found; one *metadata*.csv is needed"
        )
    metadata = _read_table(tables[0], ["image_id", "lesion_id", "dx"])
    files = [file for folder in folders for file in find_images(folder)]
    mask_of = _masks_by_stem(file for file in files if _is_mask(file))
    image_of = {file.stem: str(file) for file in files if not _is_mask(file)}
    absent = metadata.loc[~metadata["image_id"].isin(image_of), "image_id"]
    if len(absent):
        raise DataError(
            f"{tables[0]}: {len(absent)} images are not below the folders given, the first {absent.iloc[0]}; "
            "add their folder"
        )
    table = metadata.rename(columns={"dx": "diagnosis"})
    table["image_path"] = table["image_id"].map(image_of)
    table["mask_path"] = table["image_id"].map(mask_of).fillna("")
    table["source"] = "ham10000"
    table = complete_catalog(table, str(tables[0]))
    return join_symmetry(table, symmetry) if symmetry else table


def join_symmetry(table: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """Add SymDerm v2's labels (0 asymmetric, 1 about one axis, 2 about two) to the images they name.

    Raises:
        DataError: the label file lacks a column, holds another label, or names none of the catalog's images.
    """
    symderm = _read_table(labels, ["File", "labels_symmetry"])
    names = dict(zip("012", Symmetry.names(), strict=True))
    unknown = symderm.loc[~symderm["labels_symmetry"].isin(names), "labels_symmetry"]
    if len(unknown):
        raise DataError(
            f"{labels}: row {unknown.index[0] + 2}: label {unknown.iloc[0]!r} is none of 0, 1, 2; correct it"
        )
    by_image = dict(
        zip(symderm["File"].map(lambda name: Path(name).stem), symderm["labels_symmetry"].map(names), strict=True)
    )
    joined = table.assign(symmetry=table["image_id"].map(by_image).fillna(table["symmetry"]))
    if not joined["symmetry"].any():
        raise DataError(f"{labels}: names none of the catalog's images; give the labels of these images")
    return joined


def draw_lesions(table: pd.DataFrame, lesions: int, seed: int) -> pd.DataFrame:
    """Keep about ``lesions`` lesions: class by class the same number, rare classes whole, labelled symmetry first.

    Every image of a kept lesion stays. Lesions are dealt in rounds, one of each diagnosis a round.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = table.iloc[order]
    first = shuffled.assign(labelled=shuffled["symmetry"] != "").sort_values("labelled", ascending=False, kind="stable")
    first = first.drop_duplicates("lesion_id")
    first = first.assign(round=first.groupby("diagnosis").cumcount()).sort_values("round", kind="stable")
    return table[table["lesion_id"].isin(first["lesion_id"].head(lesions))].reset_index(drop=True)


def _read_table(path: Path, needed: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} is missing; it holds {', '.join(table.columns)}")
    return table


def _is_mask(path: Path) -> bool:
    return path.stem.lower().endswith(("_segmentation", "_mask"))


def _masks_by_stem(files: Iterable[Path]) -> dict[str, str]:
    return {file.stem.rpartition("_")[0] if _is_mask(file) else file.stem: str(file) for file in files}
