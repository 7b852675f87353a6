"""Writes docs/results.md from the files beside this script, so that no number is typed by hand.

python docs/results/make.py            # write
python docs/results/make.py RUN NAME   # first copy a finished run's metrics to docs/results/NAME, pair after pair;
                                       # of a grid (a NAME with `grid` in it) its table alone, of what
                                       # `selcn saliency-eval` wrote its summary and its subgroups
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

import experiments
import size_plot
import speed
from score import keep, keep_seconds
from selcn.config import Graph, RunConfig
from selcn.runs.metrics import grid_table
from selcn.runs.run import open_run
from shipped import CARD, README, shipped_sections, with_headlines
from tables import difference_table, interval, markdown, metric_table

HERE = Path(__file__).parent
PAGE = HERE.parent / "results.md"
RUNS = STUDY, DEMO_RUN, GRID_RUN = "ham10000-small", "demo", "phantom-grid"
OWN_CLASSES = "isic2017"
PREDICTED = ("ham10000", "ham10000-metadata")
"""Runs of which predictions are stored, to be compared with later runs on the same split."""
MEASURED_RUN = "symmetry-measured"
CLASS_METRICS = [
    "balanced_accuracy",
    "kappa",
    "accuracy",
    "macro_auc",
    "auc_mel",
    "auc_seborrheic-keratosis",
    "sensitivity_mel",
    "sensitivity_mel_at_90",
    "ece",
]
SCORES = {
    "iou": "IoU",
    "overlap": "overlap",
    "pointing": "pointing",
    "energy": "energy",
    "iou_auc": "IoU, all thresholds",
    "rank_correlation": "rank correlation",
    "deletion": "deletion",
    "insertion": "insertion",
}
PHANTOM_MAPS = {
    "none": "symmetry under masking `none`",
    "lae": "symmetry under masking `lae`",
    "measured": "measured symmetry, 600 other images",
}
"""Stored scores of maps on the phantom, and what they are of."""
DIFFERENCE = {"value": "", "low": "_low", "high": "_high"}
DIFFERS = {
    "pointing": (
        "The maximum of the network's map falls on the asymmetry",
        "more often than",
        "less often than",
        "neither more nor less often than",
    ),
    "energy": ("The share of its energy on the asymmetry is", "higher than", "lower than", "not different from that"),
}
"""How a difference of a score is told: its beginning, and what follows where it is above 0, below 0, or neither."""
MASK_METRICS = [
    "dice",
    "jaccard",
    "thresholded_jaccard",
    "boundary_f1",
    "hausdorff95",
    "sensitivity",
    "specificity",
]


class Networks(NamedTuple):
    """The networks of a stored run, by the names of their files.

    Attributes:
        answering: the target, and the other classifiers of its label set.
        criteria: all other classifiers.
        segmenter: the segmentation network.
        folds: of the split.
    """

    answering: list[str]
    criteria: list[str]
    segmenter: str
    folds: int


def read_networks(folder: Path) -> Networks:
    """The networks of a stored run, also of one whose configuration lists `segmentation, symmetry, classification`."""
    tree = _config(folder)
    folds = tree["split"]["folds"]
    if "networks" in tree:
        graph = RunConfig.model_validate(tree).graph
        answering = same_labels(graph)
        criteria = [name for name in graph.classifiers if name not in answering]
        return Networks(answering, criteria, str(graph.segmenter), folds)
    variants = tree["classification"]["variants"]
    criteria = [f"symmetry-{masking}" for masking in dict.fromkeys(one["cam_mask"] for one in variants) if masking]
    return Networks([_old_name(one) for one in variants], criteria, "segmentation", folds)


def _config(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return tree


def _portable(tree: Any) -> Any:  # noqa: ANN401 - any value of a configuration
    """A configuration without the folders of the machine that the run was made on."""
    if isinstance(tree, dict):
        return {key: _portable(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_portable(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and Path(tree).is_absolute() else tree


def same_labels(graph: Graph) -> list[str]:
    """The classifiers of the target's label set."""
    labels = graph.classifiers[graph.target].labels
    return [name for name, section in graph.classifiers.items() if section.labels == labels]


def _old_name(variant: Mapping[str, str]) -> str:
    kind = {"none": "standalone", "concat": "se-lcn"}.get(variant["fusion"], variant["fusion"])
    return "-".join(filter(None, (kind, variant["mask"], variant["cam_mask"], variant["control"])))


def copy_run(path: Path, name: str) -> None:
    """Keep of a finished run what its metrics are written from, and of one of public data what the target predicted."""
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if (path / "summary.csv").is_file():
        for file in [path / "summary.csv", path / "subgroups.csv"]:
            shutil.copyfile(file, out / file.name)
        return
    run = open_run(path)
    tables = [] if "grid" in name else sorted(run.folder.evaluation.glob("*.csv"))
    for file in [run.folder.environment, *tables]:
        shutil.copyfile(file, out / file.name)
    text = yaml.safe_dump(_portable(_config(path)), sort_keys=False, allow_unicode=True)
    (out / run.folder.config.name).write_text(text, encoding="utf-8")
    if name in PREDICTED:
        for network in run.graph.nodes:
            keep(pd.read_csv(run.folder.prediction_file(network)), out / f"{network}.parquet")
    if "grid" in name:
        grid_table(run, same_labels(run.graph)).to_csv(out / "grid.csv", index=False)
    counts = json.loads(run.folder.split.read_text(encoding="utf-8"))["counts"]
    pd.DataFrame(counts).T.fillna(0).astype(int).rename_axis("part").to_csv(out / "split.csv")
    keep_seconds(path, out / "seconds.csv")


def page() -> str:
    """The whole page."""
    return (
        "\n\n".join(
            [
                INTRODUCTION,
                *([OLD_NAMES] if any("networks" not in _config(HERE / name) for name in RUNS) else []),
                *shipped_sections(),
                *_run(STUDY, REAL),
                *_label_sets(OWN_CLASSES),
                *_measured(MEASURED_RUN),
                *_run(DEMO_RUN, DEMO),
                *_saliency(),
                *_grid(GRID_RUN),
            ]
        )
        + "\n"
    )


def _run(name: str, text: str) -> list[str]:
    folder = HERE / name
    networks = read_networks(folder)
    seconds = pd.read_csv(folder / "seconds.csv")["seconds"].sum()
    split = pd.read_csv(folder / "split.csv").fillna(0)
    return [
        text.format(
            images=split["images"].sum(), lesions=split["groups"].sum(), minutes=seconds / 60, folds=networks.folds
        ),
        markdown(split),
        "**Diagnosis**\n\n" + metric_table(folder, networks.answering),
        "**Symmetry**\n\n" + metric_table(folder, networks.criteria),
        "**Segmentation**, scored at the store's size\n\n" + metric_table(folder, [networks.segmenter], MASK_METRICS),
        "**With saliency against without**, paired, the same resampled lesions for both\n\n" + difference_table(folder),
    ]


def _label_sets(name: str) -> list[str]:
    """A run of classifiers with several label sets."""
    folder = HERE / name
    graph = RunConfig.model_validate(_config(folder)).graph
    seconds, split = pd.read_csv(folder / "seconds.csv")["seconds"].sum(), pd.read_csv(folder / "split.csv").fillna(0)
    tables = [
        f"**{network}**, label set `{section.labels.name}`\n\n" + metric_table(folder, [network], CLASS_METRICS)
        for network, section in graph.classifiers.items()
    ]
    labelled = int(split.drop(columns=["part", "images", "groups"], errors="ignore").to_numpy().sum())
    text = ISIC.format(images=split["images"].sum(), labelled=labelled, minutes=seconds / 60)
    return [text, markdown(split), *tables]


def _measured(name: str) -> list[str]:
    """Measured symmetry on predicted and on true masks, the learned network of the study beside it."""
    folder, split = HERE / name, pd.read_csv(HERE / name / "split.csv")
    networks = read_networks(folder)
    test = split["part"] == "test"
    text = MEASURED.format(
        images=split.loc[~test, "images"].sum(),
        lesions=split.loc[~test, "groups"].sum(),
        test=split.loc[test, "images"].sum(),
        folds=networks.folds,
    )
    masks = pd.read_csv(folder / f"{networks.segmenter}.csv")
    jaccard = masks[masks["metric"] == "jaccard"].set_index("fold_part")
    scored = " and ".join(f"{interval(dict(jaccard.loc[part]))} on {part}" for part in jaccard.index)
    return [text, metric_table(folder, networks.answering), f"Jaccard index of the predicted masks: {scored}.", TUNED]


def _saliency() -> list[str]:
    real = [
        f"**HAM10000, {head}, against the lesion's mask**\n\n" + _scored(f"saliency/ham10000-small-{head}", "lesion")
        for head in ("symmetry", "diagnosis")
    ]
    found = [
        f"**Phantom, {what}, against the place of asymmetry** (images that have one)\n\n"
        + _scored(f"saliency/phantom-{name}", "asymmetry")
        + "\n\n"
        + _found(f"saliency/phantom-{name}")
        for name, what in PHANTOM_MAPS.items()
    ]
    return [SALIENCY, *real, PHANTOM, *found]


def _scored(name: str, against: str) -> str:
    """A row a kind of saliency on the test subset, with the number of images that were scored."""
    table = pd.read_csv(HERE / name / "summary.csv")
    table = table[(table["against"] == against) & (table["fold_part"] == "test")]
    table = table[~table["saliency"].str.startswith("network - ")]
    rows = []
    for kind, scores in table.groupby("saliency", sort=False):
        known = {str(row["metric"]): row for row in scores.to_dict("records")}
        cells = {SCORES[name]: interval(known[name]) if name in known else "" for name in SCORES}
        rows.append({"": kind, "images": int(scores["images"].max()), **cells})
    wide = pd.DataFrame(rows)
    return markdown(wide.loc[:, (wide != "").any()])


def _found(name: str) -> str:
    """Whether the network's maps lie on the asymmetry more than others do, in words."""
    table = pd.read_csv(HERE / name / "summary.csv")
    table = table[(table["against"] == "asymmetry") & (table["fold_part"] == "test")]
    sentences = []
    for metric, (begin, higher, lower, neither) in DIFFERS.items():
        compared = []
        for other in ("chance", "random weights", "centred Gaussian", "lesion mask"):
            chosen = table[(table["saliency"] == f"network - {other}") & (table["metric"] == metric)]
            row = chosen.iloc[0].to_dict()
            which = higher if row["low"] > 0 else lower if row["high"] < 0 else neither
            compared.append(f"{which} for {other} ({interval(row, signed=True)})")
        sentences.append(f"{begin} {'; '.join(compared)}.")
    return " ".join(sentences)


def _grid(name: str) -> list[str]:
    folder = HERE / name
    networks, split = read_networks(folder), pd.read_csv(folder / "split.csv")
    seconds = pd.read_csv(folder / "seconds.csv")["seconds"].sum()
    rows = []
    for row in pd.read_csv(folder / "grid.csv").rename(columns={"variant": "network"}).to_dict("records"):
        difference = {key: row[f"difference{ending}"] for key, ending in DIFFERENCE.items()}
        paired = "" if pd.isna(row["difference"]) else interval(difference, signed=True)
        p = "" if pd.isna(row["p"]) else f"{row['p']:.3f}"
        corrected = "" if pd.isna(row["p_holm"]) else f"{row['p_holm']:.3f}"
        own = interval({"value": row["balanced_accuracy"], **row})
        rows.append(
            {"": row["network"], "balanced accuracy": own, "minus standalone": paired, "p": p, "p, Holm": corrected}
        )
    text = GRID.format(
        images=split["images"].sum(),
        networks=len(rows),
        folds=networks.folds,
        hours=seconds / 3600,
        test=split.loc[split["part"] == "test", "images"].sum(),
    )
    return [text, markdown(pd.DataFrame(rows))]


INTRODUCTION = """# Results

The numbers on this page are written by `python docs/results/make.py` from the files in `docs/results/`: configuration,
counts of the split, metrics and step times of finished runs. Intervals are 95 %, from a bootstrap that resamples
lesions; they hold the networks fixed, so that the variance of training is not in them. *Test* is the held-out subset,
predicted by the ensemble of all members; *validation* is each fold, predicted by the member that was not trained on it,
and slightly optimistic, since early stopping used it.

`lae` is the masking that shows the lesion's bounding box, extended on every side by 20 %."""

OLD_NAMES = """Some of these runs were made before networks had names of their own. There `standalone-A` is a diagnosis
network with masking A that reads no saliency, `se-lcn-A-B` one that reads the saliency of a symmetry network with
masking B, `attention-A-B` the same by attention instead of the E-layer, `symmetry-A` that symmetry network, and
`segmentation` the lesion network. A new run calls them `diagnosis-standalone`, `diagnosis`, `symmetry` and `lesion`."""

REAL = """## HAM10000, about 1,000 lesions

    selcn run configs/ham10000-small.yaml

{images} images of {lesions} lesions at 200x150 pixels, sampled evenly over the diagnoses (rare ones whole, lesions with
a SymDerm v2 symmetry label first), {folds} folds and a test subset. SqueezeNet 1.1 with ImageNet weights for symmetry
and diagnosis, a small U-Net from random weights for segmentation. {minutes:.0f} minutes on two CPU cores.

**What the difference does not show.** The network that reads saliency differs from its standalone twin by the saliency
*and* by the E-layer, whose batch norm a SqueezeNet otherwise lacks. Without controls that feed the same layer zero or
shuffled saliency, no part of the gain can be credited to symmetry.

This is a small study with a light network, made to find faults; it cannot be compared with published results on all of
HAM10000, whose class mix differs."""

ISIC = """## ISIC 2017, its own classes and melanoma against the rest

    selcn index isic ISIC2017/ --out isic2017.csv
    selcn run configs/isic2017.yaml

{images} images, of which {labelled} have a diagnosis, squeezed to squares of 256 pixels and read at 192; one run, one
split, two classifiers of two label sets: no masks and no symmetry labels are needed, and no segmentation network is
trained. SqueezeNet 1.1 with ImageNet weights, {minutes:.0f} minutes on two CPU cores beside other work. The test
subset is ours, of the challenge's training and validation parts, so that these numbers stand beside no leaderboard."""
MEASURED = """## Symmetry measured, not learned

    selcn run configs/symmetry-measured.yaml --out runs/symmetry-measured

SymDerm's {images} images of HAM10000 ({lesions} groups) in {folds} folds, *validation*, and the {test} images of PH2 as
*test*. The network `symmetry` measures on masks of a light U-Net that was trained on other
lesions of HAM10000, `symmetry-true-masks` on the published masks; its model is fitted on them, too. 200x150 pixels, no
training but that of 16 weights. What the light U-Net costs is the difference of the two. The learned network of
the first section, which reads these measures beside its own features, saw other, fewer images of the same source."""

TUNED = """The measures were chosen by balanced accuracy and log loss of these very folds of HAM10000, on true masks, so
that *validation* is slightly optimistic; PH2 was scored beside them and not chosen on. What did not help (balanced
accuracy within a point): the principal axes alone in place of 12, the worst and the mean over all axes beside the best,
a third blur, lightness alone, the spread of colours, the share of its ellipse that a lesion fills, the offset of its
centre of colour, its elongation; and the best axis without the best pair. Its size in pixels helped a little (AUC +
0.005), but depends on the magnification and is left out. Without contrast and roughness of the lesion, to which
differences are related, balanced accuracy was two to three points lower. These comparisons are of logs and have no
intervals; no file repeats them."""

DEMO = """## The demo (synthetic)

    make demo

{images} **synthetic** images of {lesions} lesions, {folds} folds, all networks from random weights: {minutes:.1f}
minutes on two CPU cores. It shows that every step works, and says nothing about real skin."""

SALIENCY = """## How good saliency is

    selcn saliency-eval RUN --network symmetry --curves 100 --by diagnosis --by symmetry --by lesion_share

Grad-CAM++ of the predicted class, test subset, at 224x224, of the networks of the study of about 1,000 lesions above;
the maps of the bundle that ships have not been scored. *IoU*, *overlap* and *pointing* are the thesis' scores (map
above 0.5, mask dilated twice by a square of 5 % of the width; pointing on the mask itself); *energy* is the share of
the map on the mask itself, *IoU, all thresholds* the area under the IoU curve; *rank correlation* is with the trained
network's map; *deletion* (lower is better) and *insertion* (higher is better) are areas under the curve of the class
probability of 100 images as the most salient pixels are removed, or added, first. **Chance** is the same map shuffled,
so that only the mask's area counts; the **centred Gaussian** does not depend on the image; the **lesion mask** is what
segmentation alone gives; **random weights** are the same network's before training (Adebayo et al. 2018). Paired
differences, and scores by diagnosis, symmetry and lesion size, are in `docs/results/saliency/`.

Three observations. The maps depend on what was learned: their rank correlation with those of random weights is far from
1. They lie on lesions more than chance. But a centred Gaussian lies on lesions as well or better, and for the diagnosis
so does the energy of random weights: dermoscopists centre the lesion, and scores against lesion masks, such as the
thesis reports, hardly tell a good map from a centred one."""

PHANTOM = """### Does symmetry saliency find the asymmetry?

    selcn train symmetry --config configs/phantom-symmetry.yaml --out runs/phantom-symmetry
    selcn saliency-eval runs/phantom-symmetry --network symmetry --curves 100

No public data say *where* a lesion is asymmetric; the **synthetic** phantom does. 2,000 images, 3 folds, SqueezeNet 1.1
with ImageNet weights; the network with masking `lae` is `symmetry-lae` of the same configuration. The lesion mask
stands for a map that knows where the lesion is and nothing of its symmetry: all its points are equally salient. In part
the saliency finds the asymmetry: its maximum falls there far more often than for chance or random weights, and without
masking more often than for the lesion mask. But most of what it marks lies elsewhere, in a grid of 11x8 whose cells
reach beyond the lesion.

The map of measured symmetry (`selcn train measured`, backbone mirror, with `--set data.images=600`) needs no training
images and does not depend on weights, so that random ones change nothing. Its masks are those of the lesion network,
which had few images. What it marks beside the asymmetry is mostly the mirror image of it. Its IoU at the
threshold 0.5 is low since the map is not scaled by image: faint asymmetry stays faint."""

GRID = """## The grid of maskings (synthetic)

    selcn grid demo --attention --controls

{networks} diagnosis networks on {images} **synthetic** images ({test} in the test subset), {folds} folds, all from
random weights; {hours:.1f} hours on two CPU cores with other work beside. Test subset, intervals by lesion, differences
paired with the standalone network of the same masking; p by permutation of lesions, corrected for all differences
(Holm).

This is what controls are for: behind `lae` masking the networks that read saliency lie above their standalone, but so
do those that read another lesion's saliency or noise, which holds no symmetry of the image. None of these gains
survives the correction."""

if __name__ == "__main__":
    for run, name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        copy_run(Path(run), name)
    PAGE.write_text(page(), encoding="utf-8")
    for other in (speed, experiments):
        other.PAGE.write_text(other.page(), encoding="utf-8")
    size_plot.PLOT.write_text(size_plot.svg(), encoding="utf-8")
    for file in (README, CARD):
        file.write_text(with_headlines(file), encoding="utf-8")
    print(PAGE)
