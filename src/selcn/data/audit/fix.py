"""A catalog without what blocks, and the list of what went."""

import pandas as pd

from selcn.data.audit.audit import Audit
from selcn.data.audit.findings import KINDS, Mend
from selcn.errors import DataError


def fix(table: pd.DataFrame, found: Audit) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop the rows, or the masks alone, that an audit blocks; leaks are mended by another split instead.

    Args:
        table: the audited catalog.
        found: what the audit of it found.

    Returns:
        The clean catalog, and a table ``image_id, kind, detail, action`` of what was dropped and why.

    Raises:
        DataError: nothing would be left.
    """
    dropped = pd.DataFrame(
        [
            (image, finding.kind, finding.detail, KINDS[finding.kind].mend.value)
            for finding in found.findings
            for image in _mended(KINDS[finding.kind].mend, finding.image_ids)
        ],
        columns=["image_id", "kind", "detail", "action"],
    )
    masks = dropped.loc[dropped["action"] == Mend.MASK, "image_id"]
    rows = dropped.loc[dropped["action"].isin([Mend.ROW, Mend.LATER_ROWS]), "image_id"]
    clean = table.assign(mask_path=table["mask_path"].mask(table["image_id"].isin(masks), ""))
    clean = clean[~clean["image_id"].isin(rows)].reset_index(drop=True)
    if clean.empty:
        raise DataError("every image is blocked, so that no catalog would be left; see the findings")
    return clean, dropped


def _mended(mend: Mend, image_ids: tuple[str, ...]) -> tuple[str, ...]:
    match mend:
        case Mend.NOTHING:
            return ()
        case Mend.LATER_ROWS:
            return image_ids[1:]
        case _:
            return image_ids
