"""What docs/results.md says of plain scripts on the same images, split and budget.

python docs/results/peer_section.py PEERS   # keep what `benchmarks/peers.py` wrote, scores and differences
"""

import sys
from pathlib import Path

import pandas as pd

from score import keep
from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.predictions import read_predictions
from selcn.labels import HAM10000
from tables import difference_table, metric_table

HERE = Path(__file__).parent
RUN, OUT = HERE / "ham10000", HERE / "ham10000-peers"
OURS = "diagnosis-standalone"
"""A cascade's network that reads nothing: what a plain script trains."""


PEERS = "fine-tuned", "linear-probe"


def keep_peers(folder: Path) -> None:
    """Keep the peers' predictions as Parquet, their metrics, and the run's differences from them."""
    OUT.mkdir(exist_ok=True)
    ours, found = read_predictions(RUN / f"{OURS}.parquet", HAM10000), []
    for file in [folder / f"{name}.csv" for name in PEERS if (folder / f"{name}.csv").is_file()]:
        keep(pd.read_csv(file), kept := OUT / f"{file.stem}.parquet")
        evaluate_file(kept, labels=HAM10000).to_csv(OUT / file.name, index=False)
        found.append(compare(*on_shared_images(read_predictions(kept, HAM10000), ours)).assign(a=file.stem, b=OURS))
    pd.concat(found).to_csv(OUT / "comparison.csv", index=False)


def peer_sections() -> list[str]:
    """The page's section."""
    names = sorted(file.stem for file in OUT.glob("*.parquet"))
    return [TEXT, metric_table(OUT, names), difference_table(OUT)]


TEXT = """### Beside plain scripts

    python benchmarks/peers.py runs/ham10000 --weights ../shared/weights --out peers --only linear-probe

`linear-probe` is scikit-learn's logistic regression, classes balanced, C = 0.001, on ImageNet features of
EfficientNet-Lite2, on the same images, folds and test subset; C was set without a trial. Beside it
`diagnosis-standalone`, which reads no saliency either. A plain fine-tuned network and a default U-Net (`fine-tuned`,
`unet` of the same script) are not trained yet."""


if __name__ == "__main__":
    keep_peers(Path(sys.argv[1]))
