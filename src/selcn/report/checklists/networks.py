"""What a run knows of its networks and their training, in sentences of Markdown, for checklists of reporting."""

from collections.abc import Callable, Mapping

from selcn.config import ClassificationSection, NetworkSection, SegmentationSection
from selcn.config.frozen import LBFGS
from selcn.inference.bundle import read_config
from selcn.runs.plan import Kind, Step
from selcn.runs.provenance import cost_lines
from selcn.runs.run import Run


def _bundled(run: Run) -> dict[str, NetworkSection]:
    return {name: run.graph.nodes[name].section for name in run.graph.bundled(run.graph.target)}


def _trained(run: Run) -> dict[str, NetworkSection]:
    return {name: section for name, section in _bundled(run).items() if not section.taken}


def _measured(section: NetworkSection) -> bool:
    return isinstance(section, ClassificationSection) and section.measured


def _study(run: Run) -> list[str]:
    names = ", ".join(_bundled(run))
    return [
        f"Development and evaluation of a deep learning method on images of skin lesions: a cascade of {names}, which "
        f"leads to {run.graph.target}."
    ]


def _purpose(_: Run) -> list[str]:
    return ["Software for research: comparing methods, studying explanations, teaching. It is not a medical device."]


def _inputs(run: Run) -> list[str]:
    lines = []
    for name, section in _bundled(run).items():
        if not isinstance(section, ClassificationSection):
            lines.append(f"{name} takes the image.")
            continue
        masked = "" if section.masking == "none" else f" under the masking `{section.masking}`"
        reads = "".join(f", the saliency of {one} ({how.value})" for one, how in section.reads.items())
        metadata = f", and of the patient {', '.join(section.metadata)}" if section.metadata else ""
        mask = ", the lesion's mask" if section.takes_mask else ""
        lines.append(f"{name} takes the image{masked}{mask}{reads}{metadata}.")
    return lines


def _architecture(run: Run) -> list[str]:
    lines = []
    for name, section in _bundled(run).items():
        if isinstance(section, SegmentationSection):
            built = f"{section.architecture} with the encoder {section.encoder}"
        elif section.measured:
            built = "logistic model of the differences between a lesion and its mirror images"
        else:
            fused = f", fusing the saliency of {', '.join(section.reads)}" if section.reads else ""
            ended = f" up to {section.reduction} pixels a position" if section.reduction else ""
            built = f"{section.backbone}{ended} with a {section.head} head{fused}, {len(section.labels.names)} classes"
        width, height = section.size or run.config.prepare.size
        count = sum(one.numel() for one in run.network(name, 0).parameters())
        lines.append(f"{name}: {built}; input {width} x {height} pixels; {count:,} parameters.")
    return lines


def _start(run: Run) -> list[str]:
    lines = []
    for name, section in _bundled(run).items():
        if section.taken:
            lines.append(f"{name} is taken as it is from the bundle {section.taken}.")
        elif not _measured(section):
            begun = section.init or section.weights or "random parameters"
            frozen = "; its backbone stays so" if getattr(section, "freeze", False) else ""
            lines.append(f"{name} starts from {begun}{frozen}.")
    return lines


def _training(run: Run) -> list[str]:
    lines = []
    for name, section in _trained(run).items():
        if _measured(section):
            lines.append(f"{name} is fitted, not trained.")
            continue
        if section.optimiser == LBFGS:
            lines.append(
                f"{name}: linear probe by L-BFGS, all training images at once, penalty {section.weight_decay:g} on the "
                f"squared weights of standardised features, at most {section.epochs} iterations, cross-entropy."
            )
            continue
        loss = "soft Dice and rank loss" if isinstance(section, SegmentationSection) else "cross-entropy"
        lines.append(
            f"{name}: {section.optimiser}, learning rate {section.lr:g} ({section.schedule}), weight decay "
            f"{section.weight_decay:g}, batches of {section.batch}, at most {section.epochs} epochs, {loss}; seed "
            f"{run.config.seed} plus the fold's number."
        )
    return lines


def _augmentation(run: Run) -> list[str]:
    lines = []
    for name, section in _trained(run).items():
        if not _measured(section):
            one = section.augment
            flips = "flips" if one.flip else "no flips"
            lines.append(
                f"{name}: rotation up to {one.rotation:g} degrees, zoom {one.zoom:g}, shift {one.shift:g}, {flips}, "
                f"colour {one.colour:g}, in training alone."
            )
    return lines


def _selection(run: Run) -> list[str]:
    lines = []
    for name, section in _trained(run).items():
        if _measured(section):
            continue
        steps = [run.folder.manifest(Step(Kind.TRAIN, name, fold)) for fold in range(run.split.folds)]
        epochs = ", ".join(str(one["epochs"]) for one in steps)
        lines.append(
            f"{name}: the epoch with the best `{steps[0]['monitor']}` on the fold left out was kept; training "
            f"stops after {section.patience} epochs without improvement ({epochs} epochs by fold)."
        )
    searched = sorted(path.name for path in run.folder.tuning("any").parent.glob("*/"))
    if searched:
        lines.append(f"Hyperparameters were searched for on the folds: {', '.join(searched)}.")
    return lines


def _ensemble(run: Run) -> list[str]:
    return [
        f"{run.split.folds} members, each trained without one fold; on new images their probabilities are averaged. "
        "What trains a later network comes from members that did not see the lesion."
    ]


def _imbalance(run: Run) -> list[str]:
    lines = []
    for name, section in _trained(run).items():
        if isinstance(section, ClassificationSection) and not section.measured:
            done = ["the loss is weighted by inverse class frequency"] * section.weighted
            done += ["the log of class frequencies is added to the logits in training"] * section.adjusted
            done += [f"epochs are balanced to {section.balance} images of each class"] * bool(section.balance)
            lines.append(f"{name}: {' and '.join(done) or 'nothing is done against imbalance'}.")
    return lines


def _output(run: Run) -> list[str]:
    config = read_config(run.folder.bundle)
    lines = [
        f"{name} gives probabilities of {', '.join(one.labels.names)}." for name, one in config.classifiers.items()
    ]
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    if measured:
        lines.append(
            f"{config.target} answers with the class that it finds most probable before recalibration, and abstains "
            f"below a probability of {measured.abstain_below:.3f}, chosen so that it answers "
            f"{100 * measured.coverage:.0f} % of the out-of-fold images."
        )
    if config.sets:
        lines.append(
            f"Its prediction sets are fitted to hold the truth for {100 * config.sets.coverage:.4g} % of the images "
            "of each class."
        )
    return lines


def _updating(run: Run) -> list[str]:
    config = read_config(run.folder.bundle)
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    if measured is None:
        return ["The model was not updated."]
    return [
        f"Probabilities of {config.target} are recalibrated with a temperature of {measured.temperature:.3f}"
        f"{' and a bias a class' if measured.bias else ''}, fitted on "
        "out-of-fold predictions; metrics are of the probabilities before it."
    ]


def _predicting(_: Run) -> list[str]:
    return [
        'From the bundle: `selcn predict BUNDLE IMAGE...`, or in Python `selcn.load("BUNDLE").predict("IMAGE")`; '
        "`selcn evaluate BUNDLE CATALOG` scores it on other data."
    ]


def _software(run: Run) -> list[str]:
    return [", ".join(f"{name} {which}" for name, which in run.environment().items()) + "."]


def _cost(run: Run) -> list[str]:
    return cost_lines(run, list(_bundled(run)))


def _availability(run: Run) -> list[str]:
    config = read_config(run.folder.bundle)
    return [
        f"selcn {config.selcn} is published under the Apache License 2.0. The folder `{run.folder.bundle.name}` of "
        f"the run holds weights, configuration and metrics of the {config.members} members with their checksums."
    ]


def _explanation(run: Run) -> list[str]:
    return [
        f"{name}: {section.saliency} of the predicted class."
        for name, section in _bundled(run).items()
        if isinstance(section, ClassificationSection)
    ]


def _poor_input(run: Run) -> list[str]:
    config = read_config(run.folder.bundle)
    if config.reliability is None:
        return ["The bundle has no measured reliability, and warns of nothing."]
    found = "no lesion found, " if config.segmenter else ""
    return [
        f"The bundle warns of images with {found}blur, unusual brightness, or features unlike those of the training "
        "images; images that cannot be decoded are refused. Warnings catch some such images, not all."
    ]


def _configuration(_: Run) -> list[str]:
    return ["`config.yaml` of the run's folder holds every setting, `selcn run config.yaml` repeats it."]


NETWORK_FACTS: Mapping[str, Callable[[Run], list[str]]] = {
    "study": _study,
    "purpose": _purpose,
    "inputs": _inputs,
    "architecture": _architecture,
    "start": _start,
    "training": _training,
    "augmentation": _augmentation,
    "selection": _selection,
    "ensemble": _ensemble,
    "imbalance": _imbalance,
    "output": _output,
    "updating": _updating,
    "predicting": _predicting,
    "software": _software,
    "cost": _cost,
    "availability": _availability,
    "explanation": _explanation,
    "poor_input": _poor_input,
    "configuration": _configuration,
}
"""What is known of the networks, by the name that items of checklists call it; no line where the run does not know."""
