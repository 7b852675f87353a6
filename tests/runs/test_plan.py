from collections.abc import Iterable

from selcn.config import ClassificationSection, Graph, SegmentationSection, Twin, build_graph
from selcn.labels import Fusion, parse_label_set
from selcn.runs.plan import Kind, Step, explained_networks, make_plan, with_needs


def graph() -> Graph:
    """A cascade with a standalone twin."""
    return build_graph(
        {
            "lesion": SegmentationSection(),
            "symmetry": ClassificationSection(labels=parse_label_set("symmetry"), masking="lae"),
            "diagnosis": ClassificationSection(labels=parse_label_set("ham10000"), reads={"symmetry": Fusion.CONCAT}),
        },
        {"diagnosis": [Twin.STANDALONE]},
    )


def paths(steps: Iterable[Step]) -> list[str]:
    return [step.path for step in steps]


def test_the_plan_lists_every_step_with_what_it_needs() -> None:
    folds = ["fold-0", "fold-1"]
    outputs = [f"outputs/{name}" for name in ("lesion", "symmetry", "diagnosis", "diagnosis-standalone")]
    needs = {"lesion": [], "symmetry": outputs[:1], "diagnosis": outputs[1:2], "diagnosis-standalone": []}
    wanted: dict[str, list[str]] = {}
    for name, given in needs.items():
        trained = [f"networks/{name}/{fold}" for fold in folds]
        wanted |= dict.fromkeys(trained, given)
        wanted[f"outputs/{name}"] = [*given, *trained]
    wanted["predictions"] = outputs
    wanted |= {"explained/symmetry": outputs, "explained/diagnosis": outputs}
    wanted["evaluation"] = ["predictions", "explained/symmetry", "explained/diagnosis"]
    wanted["bundle"] = ["evaluation"]
    plan = make_plan(graph(), 2)
    assert {step.path: paths(given) for step, given in plan.items()} == wanted
    assert paths(plan) == list(wanted), "in this order"


def test_no_step_comes_before_what_it_needs() -> None:
    done: set[Step] = set()
    for step, needs in make_plan(graph(), 3).items():
        assert done.issuperset(needs), step
        done.add(step)


def test_wanted_steps_bring_all_that_they_need_directly_or_through_others() -> None:
    plan = make_plan(graph(), 2)
    assert paths(with_needs(plan, [Step(Kind.TRAIN, "diagnosis", 1)])) == [
        "networks/lesion/fold-0",
        "networks/lesion/fold-1",
        "outputs/lesion",
        "networks/symmetry/fold-0",
        "networks/symmetry/fold-1",
        "outputs/symmetry",
        "networks/diagnosis/fold-1",
    ]
    assert paths(with_needs(plan, [Step(Kind.TRAIN, "diagnosis-standalone", 0)])) == [
        "networks/diagnosis-standalone/fold-0"
    ]
    assert with_needs(plan, []) == []
    assert with_needs(plan, plan) == list(plan)


def test_explained_are_the_classifiers_of_the_bundle() -> None:
    assert explained_networks(graph()) == ["symmetry", "diagnosis"]
    assert explained_networks(build_graph({"lesion": SegmentationSection()}, {})) == []
