"""What README.md and docs/results.md say of every arm of docs/protocol.md, with a fast network.

python docs/results/arms.py RUN...   # keep of the runs, one a seed, predictions and times; of all seeds scores and
                                     # differences
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
from selcn.evaluation import compare_seeds, evaluate_seeds
from selcn.evaluation.significance import holm
from selcn.labels import HAM10000, TEST
from selcn.runs.run import Run, open_run
from tables import METRICS, interval, markdown
from transfer import ARM, inside_bounds, judge, points

OUT = Path(__file__).parent / "cam-transfer"
STANDALONE = f"{ARM}-standalone"
RESAMPLES = 2_000
SHOWN = ("balanced_accuracy", "macro_auc", "auc_mel")
NO_SYMMETRY = ("diagnosis-zero", "diagnosis-shuffled", "diagnosis-random", "diagnosis-mask")
"""Arms whose E-layer reads no symmetry of the image."""
ORDER = [
    ARM,
    *(f"{ARM}-{name}" for name in ("standalone", "zero", "shuffled", "random", "attention", "mask", "measured")),
]
LEVEL, SMALLEST = 0.05, 0.001
"""P value from which on two arms cannot be told apart, and the smallest that is shown."""


def keep_arms(folders: Sequence[Path]) -> None:
    """Keep each run's predictions under its seed, beside those of other seeds, and the differences over all of them."""
    for folder in folders:
        run = open_run(folder)
        keep_predicted(run, OUT / f"seed-{run.config.seed}")
    scored().to_csv(OUT / "metrics.csv", index=False)
    compared().to_csv(OUT / "comparison.csv", index=False)


def keep_predicted(run: Run, kept: Path) -> None:
    """Keep what the target's twins of a run predict, of those that are trained, its times and its machine."""
    kept.mkdir(parents=True, exist_ok=True)
    labels = run.graph.classifiers[run.graph.target].labels
    for name, section in run.graph.classifiers.items():
        if section.labels == labels and run.folder.prediction_file(name).is_file():
            keep(run.predictions(name).table, kept / f"{name}.parquet")
    keep_seconds(run.folder.path, kept / "seconds.csv")
    shutil.copyfile(run.folder.environment, kept / "environment.json")


def scored() -> pd.DataFrame:
    """Metrics of each arm, means over its seeds."""
    tables = [score_arm(name).assign(arm=name, trained=" ".join(seeds(name))) for name in names()]
    table = pd.concat(tables, ignore_index=True)
    return table[table["metric"].isin(SHOWN)]


def score_arm(name: str) -> pd.DataFrame:
    """Metrics of an arm from what it predicted, means over its seeds."""
    return evaluate_seeds([file(name, seed) for seed in seeds(name)], labels=HAM10000)


def compared() -> pd.DataFrame:
    """Differences from the two arms that matter, of each over the seeds that hold both, corrected for their number."""
    others = [name for name in names() if name not in (ARM, STANDALONE)]
    tables = [_from(STANDALONE, [ARM, *others]), _from(ARM, others)]
    table = pd.concat(tables, ignore_index=True)
    return table[table["metric"].isin(METRICS)]


def _from(against: str, others: Sequence[str]) -> pd.DataFrame:
    tables = []
    for name in others:
        shared = [seed for seed in seeds(against) if seed in seeds(name)]
        first, second = ([file(one, seed) for seed in shared] for one in (against, name))
        found = compare_seeds(first, second, labels=HAM10000, resamples=RESAMPLES)
        tables.append(found.assign(a=against, b=name))
    table = pd.concat(tables, ignore_index=True)
    corrected = table.groupby(["fold_part", "metric"], sort=False)["p"].transform(lambda p: holm(p.tolist()))
    return table.assign(p_holm=corrected)


def names() -> list[str]:
    """The arms, in the order of the protocol's networks."""
    found = {path.stem for path in OUT.glob("seed-*/*.parquet")}
    return [name for name in ORDER if name in found]


def file(arm: str, seed: str) -> Path:
    """What an arm predicted."""
    return OUT / f"seed-{seed}" / f"{arm}.parquet"


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


def seeds(arm: str = STANDALONE) -> list[str]:
    """Those that an arm is trained with."""
    return sorted(path.parent.name.removeprefix("seed-") for path in OUT.glob(f"seed-*/{arm}.parquet"))


def arms_sections() -> list[str]:
    """The page's section."""
    hours = sum(pd.read_csv(times)["seconds"].sum() for times in OUT.glob("seed-*/seconds.csv")) / 3600
    others = [str(row["b"]) for row in primary(ARM)]
    pairs = [
        (row, next(held for held in primary(STANDALONE, "validation") if held["b"] == row["b"]))
        for row in primary(STANDALONE)
    ]
    pairs += [(against(other), against(other, "validation")) for other in others]
    rows = pd.DataFrame([_shown(*pair) for pair in pairs]).fillna("")
    return [TEXT.format(hours=hours), _each([ARM, STANDALONE, *others]), markdown(rows), reading()]


def _each(arms: Sequence[str]) -> str:
    """Balanced accuracy and AUC of each arm, means over seeds."""
    stored, rows = pd.read_csv(OUT / "metrics.csv", dtype={"trained": str}), []
    for name in arms:
        table = stored[(stored["arm"] == name) & (stored["fold_part"] == TEST)].set_index("metric")
        cells = {metric.replace("_", " "): interval(table.loc[metric].to_dict()) for metric in SHOWN}
        rows.append({"": name, "seeds": ", ".join(table["trained"].iloc[0].split()), **cells})
    return markdown(pd.DataFrame(rows))


def answer() -> str:
    """The two sentences of the README."""
    zero = f"{ARM}-zero"
    whole, saliency = against(STANDALONE), against(zero)
    shipped, held = transfer.primary(), transfer.primary("validation")
    layer = next(row for row in primary(STANDALONE) if row["b"] == zero)
    return (
        "**Does CAM transfer help?** With SqueezeNet, on lesions of HAM10000 that an earlier split held out, the "
        f"classifier that reads symmetry saliency differs in balanced accuracy by {points(whole)} from its twin "
        f"without saliency and E-layer ({points(whole, '_seeds')} where other seeds are counted in): by the bounds of "
        f"the [protocol](docs/protocol.md), in these trainings, {judge(whole)}; but a twin whose E-layer reads zeros "
        f"differs from that by {points(layer)}, too ({points(layer, '_seeds')} where other seeds are counted in), and "
        f"of the saliency itself, {points(saliency)}, {judge(saliency)}. With the network that ships, on the split of "
        "the table above, the same differences are "
        f"{points(shipped[STANDALONE])}: {judge(shipped[STANDALONE])}; and, of the saliency itself, "
        f"{points(shipped[zero])} on the test subset and {points(held[zero])} out of fold: "
        f"{transfer.judge_both(zero)}; {hardly()} (95 % intervals by lesion, not corrected for two differences; "
        f"{len(set(seeds()) & set(seeds(zero)))} of 3 seeds, of the shipped network 1; "
        "[all arms](docs/results.md#every-arm-with-a-fast-network))."
    )


def reading() -> str:
    """What the protocol and the controls make of it, in words."""
    whole = against(STANDALONE)
    words = [
        f"By the bounds of the protocol, against its twin without saliency and E-layer, **{judge(whole)}** in these "
        f"trainings; where other seeds are counted in, it is {points(whole, '_seeds')}, and the standard deviation "
        f"between seeds {100 * whole['seed_sd']:.1f} points."
    ]
    for subset, place in ((TEST, "On the test subset"), ("validation", "Out of fold")):
        rows = {name: against(name, subset) for name in NO_SYMMETRY}
        told = [f"{name} ({points(row)})" for name, row in rows.items() if row["p_holm"] < LEVEL]
        alike = [name for name, row in rows.items() if row["p_holm"] >= LEVEL]
        found = [f"it differs from {' and '.join(told)}"] if told else []
        found += [f"no difference is shown from {', '.join(alike)}"] if alike else []
        words.append(f"{place} {'; '.join(found)}, whose E-layers read no symmetry of the image.")
    if not any(inside_bounds(against(name)) for name in NO_SYMMETRY):
        words.append("No interval of these on the test subset lies inside the bounds: these data do not decide them.")
    words.append("What all of these arms share is the layer, with the only batch norm in a SqueezeNet.")
    return " ".join(words)


def _shown(row: Mapping[Any, Any], held: Mapping[Any, Any]) -> dict[str, str]:
    """A row of the table."""
    spread = {"with seeds": points(row, "_seeds")} if row["seeds"] > 1 else {}
    p, corrected = (f"{row[name]:.3f}" if row[name] >= SMALLEST else f"below {SMALLEST}" for name in ("p", "p_holm"))
    cells = {"": row["b"], "minus": row["a"], "seeds": f"{row['seeds']:.0f}", "test": points(row), **spread}
    return {**cells, "p": p, "p, Holm": corrected, "out of fold": points(held)}


TEXT = """### Every arm, with a fast network

    selcn run configs/cam-transfer.yaml --seeds 3 --out runs/cam-transfer

SqueezeNet 1.1 at 128x96 pixels for three epochs in bfloat16, all of HAM10000, five folds, the seeds that are named,
{hours:.1f} hours of single CPU cores. Differences in balanced accuracy, ensembles of five members on the test subset,
means over seeds, 95 % intervals by lesion; p by permutation of lesions, corrected for the number of arms that are
compared with the same one (Holm). *With seeds* also counts that other seeds would differ; of three seeds it has two
degrees of freedom, and is wide. *Out of fold* single members answer. The study was made on the earlier split, whose
test subset is another one and got lesions with more images ([Deviations](protocol.md#deviations))."""


if __name__ == "__main__":
    keep_arms([Path(argument) for argument in sys.argv[1:]])
