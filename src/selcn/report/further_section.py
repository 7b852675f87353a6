"""The target's metrics of decisions and calibration for its run's report, and its decision curves."""

from dataclasses import dataclass

from selcn.evaluation import Further, Predictions, evaluate_further
from selcn.evaluation.classification import positive_classes
from selcn.evaluation.further import BETA
from selcn.evaluation.intervals import Part
from selcn.evaluation.operating_curves import primary_subset
from selcn.labels import LabelSet
from selcn.report.classifier_charts import draw_decision_curve
from selcn.report.embed import Download, Picture, embed_chart, embed_csv
from selcn.report.measurements import Measurement, measurements, network_metrics, primary_part
from selcn.report.metric_tables import MetricTable
from selcn.runs.run import Run

OVERALL = "All classes together"
THRESHOLD = 10
"""Threshold, in per cent, whose net benefit the table shows."""
_OF_ALL = ("mcc", "weighted_kappa", "root_brier", "class_wise_ece", "ece_kde")
_OF_CLASSES = {
    "sensitivity": "sensitivity_{}",
    "specificity": "specificity_{}",
    "PPV": "ppv_{}",
    "NPV": "npv_{}",
    f"F{BETA:g}": f"f{BETA:g}_{{}}",
    f"net benefit at {THRESHOLD} %": f"net_benefit_{{}}_at_{THRESHOLD}",
}
_MELANOMA = ("mel", "melanoma")


@dataclass(frozen=True)
class FurtherSection:
    """What the report shows of the target's decisions.

    Attributes:
        overall: metrics of all classes together.
        part: the subset, `test` or `validation`.
        columns: headings of the table of classes.
        rows: measurements of each class against the rest, by its name, then by heading; a class without images has
            undefined ones, and there is no sensitivity of several classes together.
        csv: all further metrics.
        charts: decision curves.
    """

    overall: MetricTable
    part: Part
    columns: list[str]
    rows: dict[str, dict[str, Measurement]]
    csv: Download
    charts: list[Picture]


def further_section(run: Run, target: str) -> FurtherSection | None:
    """The section of a classifier, of the test subset where there is one; None without labelled images.

    Args:
        run: that is evaluated.
        target: name of the network.
    """
    if target not in run.graph.classifiers or not run.folder.prediction_file(target).is_file():
        return None
    predictions, resamples = run.predictions(target), run.config.resamples
    table = evaluate_further(primary_subset(predictions), Further(every=True), resamples=resamples)
    further, usual = measurements(table), network_metrics(run, target)
    part = primary_part(further)
    found = further[part] | usual.get(part, {})
    columns = [name for name, metric in _OF_CLASSES.items() if any(_is_of(metric, one) for one in found)]
    rows = {
        name: {heading: found[one] for heading in columns if (one := _OF_CLASSES[heading].format(name)) in found}
        for name in positive_classes(predictions.labels)
    }
    overall = MetricTable(OVERALL, part, [name for name in _OF_ALL if name in found], {target: found}, signed=False)
    return FurtherSection(
        overall=overall,
        part=part,
        columns=columns,
        rows=rows,
        csv=embed_csv(table, f"further-{target}"),
        charts=[
            embed_chart(draw_decision_curve(predictions, name, resamples), f"decision-curve-{name}-{target}")
            for name in looked_for(predictions)
        ],
    )


def looked_for(predictions: Predictions) -> list[str]:
    """The classes whose decision curves are drawn: malignant and melanoma, or the first class of two.

    Args:
        predictions: of a classifier; those of hard labels have no curve.
    """
    labels: LabelSet = predictions.labels
    names = ["malignant"] if "malignant" in positive_classes(labels) else []
    names += [name for name in _MELANOMA if name in labels.names and len(labels.malignant) > 1]
    return names or (labels.names[:1] if len(labels.names) == 2 else [])


def _is_of(template: str, metric: str) -> bool:
    start, end = template.split("{}")
    return metric.startswith(start) and metric.endswith(end)
