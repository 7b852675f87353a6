"""What README.md and docs/results.md say of every arm of docs/protocol.md, with a fast network.

python docs/results/arms.py RUN...   # keep of the runs, one a seed, predictions, differences and times
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import transfer
from reading import hardly
from score import keep, keep_seconds
from selcn.evaluation import evaluate_seeds
from selcn.labels import HAM10000, TEST
from selcn.runs.metrics import seed_table
from selcn.runs.run import open_run
from tables import METRICS, interval, markdown
from transfer import ARM, judge, points

OUT = Path(__file__).parent / "cam-transfer"
STANDALONE = f"{ARM}-standalone"
RESAMPLES = 2_000
SHOWN = ("balanced_accuracy", "macro_auc", "auc_mel")
NO_SYMMETRY = ("diagnosis-zero", "diagnosis-shuffled", "diagnosis-random", "diagnosis-mask")
"""Arms whose E-layer reads no symmetry of the image."""
LEVEL, SMALLEST = 0.05, 0.001
"""P value from which on two arms cannot be told apart, and the smallest that is shown."""


def keep_arms(folders: Sequence[Path]) -> None:
    """Keep each arm's predictions by seed, and its differences over seeds from the arms that matter."""
    for earlier in OUT.glob("seed-*"):
        shutil.rmtree(earlier)
    first = open_run(folders[0])
    for folder in folders:
        arms = keep_tested(folder, OUT / f"seed-{open_run(folder).config.seed}")
    others = [name for name in arms if name not in (ARM, STANDALONE)]
    # Two tables: each corrects for the number of networks that one of them is compared with.
    tables = [seed_table(folders, STANDALONE, [ARM, *others], resamples=RESAMPLES)]
    tables += [seed_table(folders, ARM, others, resamples=RESAMPLES)]
    table = pd.concat(tables, ignore_index=True)
    table[table["metric"].isin(METRICS)].to_csv(OUT / "comparison.csv", index=False)
    shutil.copyfile(first.folder.environment, OUT / "environment.json")


def keep_tested(folder: Path, kept: Path) -> list[str]:
    """Keep what the target's twins of a run predict, and its times; return their names."""
    run = open_run(folder)
    kept.mkdir(parents=True, exist_ok=True)
    labels = run.graph.classifiers[run.graph.target].labels
    arms = [name for name, section in run.graph.classifiers.items() if section.labels == labels]
    for name in arms:
        keep(run.predictions(name).table, kept / f"{name}.parquet")
    keep_seconds(folder, kept / "seconds.csv")
    return arms


def primary(a: str, subset: str = TEST) -> list[Mapping[Any, Any]]:
    """The differences in balanced accuracy from an arm."""
    table = pd.read_csv(OUT / "comparison.csv")
    chosen = (table["metric"] == "balanced_accuracy") & (table["fold_part"] == subset) & (table["a"] == a)
    return [*table[chosen].to_dict("records")]


def against(other: str, subset: str = TEST) -> Mapping[Any, Any]:
    """How much better the network that reads saliency is than another arm."""
    if other == STANDALONE:
        return next(row for row in primary(STANDALONE, subset) if row["b"] == ARM)
    row = next(row for row in primary(ARM, subset) if row["b"] == other)
    turned = {f"low{kind}": -row[f"high{kind}"] for kind in ("", "_seeds")}
    turned |= {f"high{kind}": -row[f"low{kind}"] for kind in ("", "_seeds")}
    return {**row, **turned, "value": -row["value"], "a": other, "b": ARM}


def seeds() -> list[str]:
    """Those that are trained."""
    return sorted(folder.name.removeprefix("seed-") for folder in OUT.glob("seed-*"))


def arms_sections() -> list[str]:
    """The page's section."""
    hours = sum(pd.read_csv(file)["seconds"].sum() for file in OUT.glob("seed-*/seconds.csv")) / 3600
    others = [str(row["b"]) for row in primary(ARM)]
    pairs = [
        (row, next(held for held in primary(STANDALONE, "validation") if held["b"] == row["b"]))
        for row in primary(STANDALONE)
    ]
    pairs += [(against(other), against(other, "validation")) for other in others]
    text = TEXT.format(seeds=", ".join(seeds()), many="s" * (len(seeds()) > 1), hours=hours)
    each = _each([f"seed-{seed}" for seed in seeds()], [ARM, STANDALONE, *others])
    return [text, each, markdown(pd.DataFrame([_shown(*pair) for pair in pairs])), reading()]


def _each(folders: Sequence[str], arms: Sequence[str]) -> str:
    """Balanced accuracy and AUC of each arm, means over seeds."""
    rows = []
    for name in arms:
        table = evaluate_seeds([OUT / folder / f"{name}.parquet" for folder in folders], labels=HAM10000)
        table = table[table["fold_part"] == TEST].set_index("metric")
        cells = {metric.replace("_", " "): interval(table.loc[metric].to_dict()) for metric in SHOWN}
        rows.append({"": name, **cells})
    return markdown(pd.DataFrame(rows))


def answer() -> str:
    """The two sentences of the README."""
    zero = f"{ARM}-zero"
    whole, saliency = against(STANDALONE), against(zero)
    shipped, held = transfer.primary(), transfer.primary("validation")
    layer = next(row for row in primary(STANDALONE) if row["b"] == zero)
    return (
        "**Does CAM transfer help?** With SqueezeNet, the classifier that reads symmetry saliency differs in balanced "
        f"accuracy on HAM10000's held-out lesions by {points(whole)} from its twin without saliency and E-layer, but "
        f"a twin whose E-layer reads zeros differs from that by {points(layer)}, too: by the bounds of the "
        f"[protocol](docs/protocol.md), of the layer alone {judge(layer)}, and of the saliency itself, "
        f"{points(saliency)}, {judge(saliency)}. With the network that ships the same differences are "
        f"{points(shipped[STANDALONE])}: {judge(shipped[STANDALONE])}; and, of the saliency itself, "
        f"{points(shipped[zero])} on the test subset and {points(held[zero])} out of fold: "
        f"{transfer.judge_both(zero)}; {hardly()} (95 % intervals by lesion, not corrected for two differences; "
        f"{len(seeds())} of 3 seeds, of the shipped network 1; "
        "[all arms](docs/results.md#every-arm-with-a-fast-network))."
    )


def reading() -> str:
    """What the protocol and the controls make of it, in words."""
    alike = [name for name in NO_SYMMETRY if against(name)["p_holm"] >= LEVEL]
    told = [name for name in NO_SYMMETRY if name not in alike]
    verdict = judge(against(STANDALONE))
    words = [f"By the bounds of the protocol, against its twin without saliency and E-layer, **{verdict}**."]
    if alike:
        words.append(
            f"But {', '.join(alike)}, whose E-layers read no symmetry of the image, cannot be told from it: what they "
            "have in common is the layer, with the only batch norm in a SqueezeNet."
        )
    if told:
        words.append(f"It can be told from {', '.join(told)}.")
    return " ".join(words)


def _shown(row: Mapping[Any, Any], held: Mapping[Any, Any]) -> dict[str, str]:
    """A row of the table."""
    spread = {"with seeds": points(row, "_seeds")} if len(seeds()) > 1 else {}
    p, corrected = (f"{row[name]:.3f}" if row[name] >= SMALLEST else f"below {SMALLEST}" for name in ("p", "p_holm"))
    cells = {"": row["b"], "minus": row["a"], "test": points(row), **spread}
    return {**cells, "p": p, "p, Holm": corrected, "out of fold": points(held)}


TEXT = """### Every arm, with a fast network

    selcn run configs/cam-transfer.yaml --seeds 3 --out runs/cam-transfer

SqueezeNet 1.1 at 128x96 pixels for three epochs in bfloat16, all of HAM10000, five folds; seed{many} {seeds} of three
so far, {hours:.1f} hours of single CPU cores. Differences in balanced accuracy, ensembles of five members on the test
subset, means over seeds, 95 % intervals by lesion; p by permutation of lesions, corrected for the number of arms that
are compared with the same one (Holm). *Out of fold* single members answer."""


if __name__ == "__main__":
    keep_arms([Path(argument) for argument in sys.argv[1:]])
