"""Under which licence the pictures of each source were published."""

LICENCES = {
    "ham10000": "CC BY-NC 4.0 (Tschandl, Rosendahl & Kittler 2018)",
    "isic": "CC0, CC BY or CC BY-NC by image (ISIC Archive)",
    "ph2": "research and benchmarking only (Mendonca et al. 2013)",
    "phantom": "synthetic, drawn by selcn",
}


def licence_of(source: str) -> str:
    """Licence of a catalog's `source`, told from how its name begins."""
    known = (licence for name, licence in LICENCES.items() if source.lower().startswith(name))
    return next(known, "unknown to selcn: ask whoever published the pictures")
