"""Graphs built from sections alone: order, needs, twins, pairs, bundles, and what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from selcn.config import ClassificationSection, Graph, SegmentationSection, Twin, build_graph
from selcn.labels import Control, Fusion, parse_label_set

Sections = Mapping[str, SegmentationSection | ClassificationSection]
LESION = SegmentationSection()


def classifier(*reads: str, labels: str = "ham10000", **keys: object) -> ClassificationSection:
    """A section that reads some networks by concatenation; labels are a built-in set or the name of an own one."""
    known = labels in ("ham10000", "symmetry", "symmetry-binary")
    chosen = labels if known else {"name": labels, "classes": ["absent", "present"]}
    return ClassificationSection(
        labels=parse_label_set(chosen),
        reads=dict.fromkeys(reads, Fusion.CONCAT),
        **keys,
    )


SYMMETRY, DIAGNOSIS = classifier(labels="symmetry-binary", masking="lae"), classifier("symmetry")


def graph_of(
    compare: Mapping[str, list[Twin]] | None = None,
    target: str | None = None,
    **networks: SegmentationSection | ClassificationSection,
) -> Graph:
    return build_graph(networks, compare or {}, target)


def test_networks_keep_their_order_but_come_behind_what_they_need() -> None:
    graph = graph_of(
        last=classifier("diagnosis", "streaks"),
        diagnosis=DIAGNOSIS,
        symmetry=SYMMETRY,
        streaks=classifier(),
        lesion=LESION,
    )
    assert list(graph.nodes) == ["lesion", "symmetry", "diagnosis", "streaks", "last"]
    assert graph.segmenter == "lesion"
    assert list(graph.classifiers) == ["symmetry", "diagnosis", "streaks", "last"]
    assert [graph.needs(name) for name in graph.nodes] == [(), ("lesion",), ("symmetry",), (), ("diagnosis", "streaks")]
    assert graph.with_needs("diagnosis") == ["lesion", "symmetry", "diagnosis"]
    assert graph.with_needs("streaks") == ["streaks"]
    assert graph.with_needs("last") == list(graph.nodes)
    assert [name for name in graph.nodes if graph.is_read(name)] == ["symmetry", "diagnosis", "streaks"]


def test_the_target_is_the_last_network_that_is_no_twin_unless_named() -> None:
    cascade: dict[str, Any] = {
        "lesion": LESION,
        "symmetry": SYMMETRY,
        "diagnosis": DIAGNOSIS,
        "streaks": classifier(labels="streaks"),
    }
    compare = {"diagnosis": [Twin.ZERO]}
    assert graph_of(compare, **cascade).target == "streaks"
    assert graph_of(compare, "diagnosis", **cascade).target == "diagnosis"
    assert graph_of(lesion=LESION).target == "lesion"
    assert graph_of(lesion=LESION).segmenter == "lesion"
    assert graph_of(diagnosis=classifier()).segmenter is None


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ({"a": classifier("b"), "b": classifier("c"), "c": classifier("a")}, "a reads b reads c reads a: a circle"),
        ({"start": classifier("a"), "a": classifier("b"), "b": classifier("a")}, r"^a reads b reads a: a circle"),
        ({"a": classifier("a")}, "a reads a: a circle; remove one of these reads"),
        ({"a": classifier("b")}, "a reads b, which is no network of this run; name one"),
        ({"a": classifier(masking="lae")}, "a has masking lae, which needs a segmentation network; add one"),
        ({"one": LESION, "two": LESION}, "one, two are segmentation networks; a run trains one: make a run of each"),
    ],
)
def test_graphs_that_cannot_run_are_refused(networks: Sections, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_graph(networks, {})


def test_twins_differ_in_one_respect_and_stand_behind_their_network() -> None:
    graph = graph_of(
        {"diagnosis": [Twin.STANDALONE, Twin.SHUFFLED, Twin.SHUFFLED]},
        lesion=LESION,
        symmetry=SYMMETRY,
        diagnosis=classifier("symmetry", masking="segmentation"),
        streaks=classifier(labels="streaks"),
    )
    assert list(graph.nodes)[2:] == ["diagnosis", "diagnosis-standalone", "diagnosis-shuffled", "streaks"]
    own = graph.classifiers["diagnosis"]
    twins: dict[str, dict[str, object]] = {"standalone": {"reads": {}}, "shuffled": {"control": Control.SHUFFLED}}
    for name, twin in twins.items():
        assert graph.nodes[f"diagnosis-{name}"].twin_of == "diagnosis"
        assert graph.classifiers[f"diagnosis-{name}"] == own.model_copy(update=twin)
    assert graph.nodes["diagnosis"].twin_of is None
    assert graph.needs("diagnosis-standalone") == ("lesion",)
    assert graph.needs("diagnosis-shuffled") == ("lesion", "symmetry")


def test_a_standalone_twin_of_a_control_is_controlled_by_nothing() -> None:
    section = classifier("symmetry", control=Control.ZERO)
    graph = graph_of({"diagnosis": [Twin.STANDALONE]}, symmetry=classifier(labels="symmetry"), diagnosis=section)
    assert graph.classifiers["diagnosis-standalone"].spec.control is None


@pytest.mark.parametrize(
    ("compare", "target", "message"),
    [
        ({"symmetry": [Twin.ZERO]}, None, "compare: symmetry reads no saliency, so that it has no zero twin"),
        ({"symmetry": [Twin.NO_METADATA]}, None, "compare: symmetry reads no metadata, so that it has no no-metadata"),
        ({"lesion": [Twin.STANDALONE]}, None, "compare: lesion reads no saliency, so that it has no standalone twin"),
        ({"streaks": [Twin.ZERO]}, None, "compare: streaks is no network of this run; it has lesion, symmetry, diag"),
        ({"diagnosis": [Twin.RANDOM]}, None, "has a twin called diagnosis-random; rename your own diagnosis-random"),
        ({"diagnosis": [Twin.ZERO]}, "diagnosis-zero", "target: diagnosis-zero is no network of this run"),
    ],
)
def test_twins_and_targets_that_are_not_there_are_refused(
    compare: Mapping[str, list[Twin]], target: str | None, message: str
) -> None:
    own: Sections = {"lesion": LESION, "symmetry": SYMMETRY, "diagnosis": DIAGNOSIS, "diagnosis-random": classifier()}
    with pytest.raises(ValueError, match=message):
        build_graph(own, compare, target)


def test_twins_of_metadata_differ_in_it_alone_and_are_compared_with_their_network() -> None:
    graph = graph_of(
        {"diagnosis": [Twin.STANDALONE, Twin.NO_METADATA, Twin.ZERO_METADATA]},
        symmetry=classifier(labels="symmetry"),
        diagnosis=classifier("symmetry", metadata=("age", "sex")),
    )
    own = graph.classifiers["diagnosis"]
    without = own.model_copy(update={"metadata": (), "metadata_control": None})
    assert graph.classifiers["diagnosis-no-metadata"] == without
    assert graph.classifiers["diagnosis-zero-metadata"] == own.model_copy(update={"metadata_control": Control.ZERO})
    assert graph.classifiers["diagnosis-standalone"].metadata == ("age", "sex")
    assert graph.pairs() == [
        ("diagnosis-standalone", "diagnosis"),
        ("diagnosis-standalone", "diagnosis-zero-metadata"),
        ("diagnosis-no-metadata", "diagnosis"),
        ("diagnosis-zero-metadata", "diagnosis"),
    ]


def test_pairs_are_of_one_masking_and_one_label_set() -> None:
    graph = graph_of(
        {"diagnosis": [Twin.STANDALONE, Twin.ZERO], "masked": [Twin.RANDOM]},
        lesion=LESION,
        symmetry=SYMMETRY,
        diagnosis=DIAGNOSIS,
        masked=classifier("symmetry", masking="lae"),
        other=classifier("symmetry", labels="streaks"),
    )
    assert graph.pairs() == [
        ("diagnosis-standalone", "diagnosis"),
        ("diagnosis-standalone", "diagnosis-zero"),
        ("diagnosis-zero", "diagnosis"),
        ("masked-random", "masked"),
    ]


def test_a_bundle_holds_what_its_target_needs_and_other_answers_but_neither_rivals_nor_twins() -> None:
    graph = graph_of(
        {"diagnosis": [Twin.STANDALONE, Twin.ZERO]},
        lesion=LESION,
        symmetry=SYMMETRY,
        diagnosis=DIAGNOSIS,
        streaks=classifier(labels="streaks"),
    )
    assert graph.bundled("lesion") == ["lesion"]
    assert graph.bundled("symmetry") == ["lesion", "symmetry"]
    assert graph.bundled("diagnosis") == ["lesion", "symmetry", "diagnosis"]
    assert graph.bundled("diagnosis-standalone") == ["lesion", "symmetry", "diagnosis-standalone"]
    assert graph.bundled("diagnosis-zero") == ["lesion", "symmetry", "diagnosis-zero"]
    assert graph.bundled("streaks") == ["lesion", "symmetry", "diagnosis", "streaks"]


def test_a_bundle_takes_the_first_of_several_rivals_and_only_what_can_run_in_it() -> None:
    graph = graph_of(
        first=classifier(labels="symmetry-binary"),
        second=classifier(labels="symmetry-binary"),
        streaks=classifier("second", labels="streaks"),
        plain=classifier(),
        reading=classifier("first"),
    )
    assert graph.bundled("plain") == ["first", "plain"], "streaks reads the second"
    assert graph.bundled("reading") == ["first", "reading"]
    assert graph.bundled("streaks") == ["second", "streaks"]


def test_a_network_is_compared_with_its_own_twin_whatever_else_there_is() -> None:
    networks: Sections = {
        "lesion": LESION,
        "symmetry": SYMMETRY,
        "baseline": classifier(),
        "diagnosis": DIAGNOSIS,
        "late": classifier(),
    }
    assert build_graph(networks, {"diagnosis": [Twin.STANDALONE]}).pairs() == [("diagnosis-standalone", "diagnosis")]
    rest = {name: section for name, section in networks.items() if name != "late"}
    assert build_graph(rest, {}, "diagnosis").pairs() == [("baseline", "diagnosis")]
