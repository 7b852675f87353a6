"""What docs/results.md says of where the bundle that ships fails."""

from pathlib import Path

import pandas as pd

from tables import interval, markdown

HERE = Path(__file__).parent
OOD = HERE / "ham10000-ood.csv"
SCORES = {"distance": "AUROC of the distance", "max_probability": "AUROC of 1 - max p"}


def failure_sections() -> list[str]:
    """Images out of distribution."""
    return [STRANGE, _strange()]


def _strange() -> str:
    table = pd.read_csv(OOD).fillna({"ood": ""})
    rows = []
    for kind, found in table[table["ood"] != ""].groupby("ood", sort=False):
        auroc = found[found["metric"] == "auroc"].set_index("score")
        warned = found[(found["metric"] == "warned") & (found["score"] == "any warning")].iloc[0].to_dict()
        cells = {title: interval(auroc.loc[score].to_dict()) for score, title in SCORES.items()}
        rows.append({"": kind, "images": int(warned["images"]), **cells, "warned": interval(warned)})
    false = table[(table["metric"] == "false_alarms") & (table["score"] == "any warning")].iloc[0].to_dict()
    rows.append(
        {
            "": "test subset",
            "images": int(false["images"]),
            **dict.fromkeys(SCORES.values(), ""),
            "warned": interval(false),
        }
    )
    return markdown(pd.DataFrame(rows))


STRANGE = """### What it knows of strange images

    python docs/results/strange.py PHOTOGRAPHS isic2017.csv strange
    selcn evaluate runs/ham10000 --ood strange/catalog.csv

Noise, blank frames and the **synthetic** phantom, photographs that come with scikit-image, and ISIC 2017's seborrheic
keratoses, which are from other clinics and squeezed. Warned is the share with any warning; that of the test subset are
false alarms."""
