"""What docs/results.md says of every arm of docs/protocol.md, with a fast network.

python docs/results/arms.py RUN...   # keep of the runs, one a seed, test predictions, differences, settings and times
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from score import keep
from selcn.labels import TEST
from selcn.runs.folder import MANIFEST
from selcn.runs.metrics import seed_table
from selcn.runs.run import open_run
from tables import METRICS, markdown
from transfer import ARM, BOUND, judge, points

OUT = Path(__file__).parent / "cam-transfer"
STANDALONE = f"{ARM}-standalone"
RESAMPLES = 2_000


def keep_arms(folders: Sequence[Path]) -> None:
    """Keep each arm's test predictions by seed, and its differences over seeds from the arms that matter."""
    shutil.rmtree(OUT, ignore_errors=True)
    first = open_run(folders[0])
    labels = first.graph.classifiers[first.graph.target].labels
    arms = [name for name, section in first.graph.classifiers.items() if section.labels == labels]
    for folder in folders:
        run = open_run(folder)
        kept = OUT / f"seed-{run.config.seed}"
        kept.mkdir(parents=True)
        for name in arms:
            table = run.predictions(name).table
            keep(table[table["fold"] == TEST], kept / f"{name}.parquet")
        seconds = {
            str(file.parent.relative_to(folder)): json.loads(file.read_text(encoding="utf-8"))["seconds"]
            for file in sorted(folder.rglob(MANIFEST))
        }
        pd.Series(seconds, name="seconds").rename_axis("step").to_csv(kept / "seconds.csv")
    others = [name for name in arms if name not in (ARM, STANDALONE)]
    # Two tables: each corrects for the number of networks that one of them is compared with.
    tables = [seed_table(folders, STANDALONE, [ARM, *others], resamples=RESAMPLES)]
    tables += [seed_table(folders, ARM, others, resamples=RESAMPLES)]
    table = pd.concat(tables, ignore_index=True)
    table[table["metric"].isin(METRICS)].to_csv(OUT / "comparison.csv", index=False)
    shutil.copyfile(first.folder.environment, OUT / "environment.json")


def primary(a: str, subset: str = TEST) -> list[Mapping[Any, Any]]:
    """The differences in balanced accuracy from an arm."""
    table = pd.read_csv(OUT / "comparison.csv")
    chosen = (table["metric"] == "balanced_accuracy") & (table["fold_part"] == subset) & (table["a"] == a)
    return [*table[chosen].to_dict("records")]


def arms_sections() -> list[str]:
    """The page's section."""
    seeds = sorted(folder.name.removeprefix("seed-") for folder in OUT.glob("seed-*"))
    hours = sum(pd.read_csv(file)["seconds"].sum() for file in OUT.glob("seed-*/seconds.csv")) / 3600
    (answer,) = [row for row in primary(STANDALONE) if row["b"] == ARM]
    held = {(row["a"], row["b"]): row for a in (STANDALONE, ARM) for row in primary(a, "validation")}
    rows = [
        {
            "": row["b"],
            "minus": row["a"],
            "test": points(row),
            **({"with seeds": points(row, "_seeds")} if len(seeds) > 1 else {}),
            "p": f"{row['p']:.3f}",
            "p, Holm": f"{row['p_holm']:.3f}",
            "out of fold": points(held[row["a"], row["b"]]),
        }
        for a in (STANDALONE, ARM)
        for row in primary(a)
    ]
    text = TEXT.format(seeds=", ".join(seeds), many="s" * (len(seeds) > 1), hours=hours)
    verdict = f"The answer by the bounds of the protocol (±{100 * BOUND:.0f} point): **{judge(answer)}**."
    return [text, markdown(pd.DataFrame(rows)), verdict]


TEXT = """### Every arm, with a fast network

    selcn run configs/cam-transfer.yaml --seeds 3 --out runs/cam-transfer

SqueezeNet 1.1 at 128x96 pixels for three epochs in bfloat16, all of HAM10000, five folds; seed{many} {seeds} so far,
{hours:.1f} hours of one CPU core each on two cores. Differences in balanced accuracy, ensembles of five members on the
test subset, the mean over seeds, 95 % intervals by lesion; p by permutation of lesions, corrected for the number of
arms compared with the same one (Holm). *Out of fold* single members answer."""


if __name__ == "__main__":
    keep_arms([Path(argument) for argument in sys.argv[1:]])
