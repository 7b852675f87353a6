"""What the catalog's names and labels say against each other, and duplicates against labels."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from selcn.data.audit.findings import Finding
from selcn.data.duplicates import Duplicate
from selcn.data.naming import Role, image_name, role_of
from selcn.labels import CONCEPTS, UNKNOWN, main_group

CONFLICTS = {"diagnosis": "label-conflict", "patient_id": "patient-conflict", "symmetry": "symmetry-conflict"}


def label_findings(table: pd.DataFrame) -> list[Finding]:
    """Lesions whose images contradict each other, and images without a diagnosis.

    Args:
        table: a validated catalog.
    """
    found = []
    lesions = table[table["lesion_id"] != ""]
    lesions = lesions.assign(diagnosis=lesions["diagnosis"].map(main_group))
    for column, kind in CONFLICTS.items():
        known = lesions[lesions[column] != ""]
        several = known.groupby("lesion_id")[column].transform("nunique") > 1
        for lesion, rows in known[several].groupby("lesion_id", sort=False):
            # Of a lesion with a conflict no label can be trusted, so all of its images are named.
            images = tuple(lesions.loc[lesions["lesion_id"] == lesion, "image_id"])
            found.append(Finding(kind, images, f"lesion {lesion}: {' and '.join(sorted(rows[column].unique()))}"))
    unknown = table[~table["diagnosis"].isin(CONCEPTS) | (table["diagnosis"] == UNKNOWN)]
    return found + [
        Finding("no-diagnosis", (image,), name)
        for image, name in zip(unknown["image_id"], unknown["diagnosis"], strict=True)
    ]


def name_findings(table: pd.DataFrame) -> list[Finding]:
    """Images that are named as masks or by-products of other images of the catalog.

    Args:
        table: a validated catalog.
    """
    paths = [Path(Path(path).name) for path in table["image_path"]]
    names = {image_name(path).casefold() for path in paths}
    roles = ((image, path, role_of(path, names)) for image, path in zip(table["image_id"], paths, strict=True))
    return [
        Finding("belongs-to-image", (image,), f"{path}, a {role.value}")
        for image, path, role in roles
        if role is not Role.IMAGE
    ]


def duplicate_findings(table: pd.DataFrame, duplicates: Iterable[Duplicate]) -> list[Finding]:
    """Duplicates by what their labels say: of other diagnoses, of other lesions, or of one lesion.

    Args:
        table: a validated catalog.
        duplicates: pairs of its images, see `find_duplicates`.
    """
    rows = table.set_index("image_id")[["lesion_id", "diagnosis"]]
    found = []
    for pair in duplicates:
        one, other = rows.loc[pair.first], rows.loc[pair.second]
        how = "same file" if pair.exact else f"similarity {pair.similarity:.3f}, {pair.turn}"
        diagnoses = {main_group(str(row["diagnosis"])) for row in (one, other)} - {""}
        if len(diagnoses) > 1:
            kind, detail = "duplicate-conflict", f"{one['diagnosis']} and {other['diagnosis']}; {how}"
        elif one["lesion_id"] and one["lesion_id"] == other["lesion_id"]:
            kind, detail = "duplicate-inside", f"lesion {one['lesion_id']}; {how}"
        else:
            kind = "duplicate-exact" if pair.exact else "duplicate-near"
            detail = f"lesions {one['lesion_id'] or 'unknown'} and {other['lesion_id'] or 'unknown'}; {how}"
        found.append(Finding(kind, (pair.first, pair.second), detail))
    return found
