"""No message, warning or log quotes a DICOM header, which names the patient."""

import logging
import re
import warnings

from pydicom.datadict import tag_for_keyword

_QUIET = ("ignore", None, Warning, re.compile(r"pydicom|highdicom|selcn\.data\.imaging\.dicom"), 0)
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # it repeats every warning there


def silence_headers() -> None:
    """Keep pydicom and highdicom from warning, since their warnings quote values of the header."""
    # Not `catch_warnings`, which threads share. Looked for first, since a new filter makes others warn again.
    if _QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


def cause(error: Exception) -> str:
    """What is wrong with a header, in words that hold no value of it.

    Args:
        error: of pydicom, highdicom or selcn.
    """
    lacking = error.name if isinstance(error, AttributeError) else None
    # As `Rows`; another name may be a value that was looked up.
    return f"it lacks {lacking}" if lacking and tag_for_keyword(lacking) else type(error).__name__
