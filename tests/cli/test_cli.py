"""Every command as a user types it, in a process of its own where it matters."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.cli.train import find_network, trained_together, with_maskings
from selcn.config import load_config
from selcn.data.imaging.read import write_image

Selcn = Callable[..., int]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("mel/a.png", "mel/b.png", "nv/c.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.full((48, 64, 3), 90, np.uint8))
    return tmp_path / "pictures"


def test_phantom_index_split_and_prepare_follow_one_another(
    tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("phantom", tmp_path / "p", "--images", 90, "--seed", 1, "--size", "64x48", "--jobs", 1) == 0
    catalog = Path(capsys.readouterr().out.strip())
    assert selcn("split", catalog, "--folds", 2, "--out", tmp_path / "split.json", "--json") == 0
    counts = json.loads(capsys.readouterr().out)
    assert sum(part["images"] for part in counts.values()) == 90
    assert selcn("prepare", catalog, "--size", "32x32", "--out", tmp_path / "store") == 0
    assert "90 images at 32x32, 90 with a mask" in capsys.readouterr().out


def test_predict_evaluate_and_report_on_a_run(
    tiny_run: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tiny_run / "data" / "phantom" / "images"
    some = sorted(images.iterdir())[:2]
    assert selcn("predict", tiny_run / "bundle", *some, "--out", tmp_path / "out") == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [Path(line["image"]).name for line in lines] == [path.name for path in some]
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 2
    capsys.readouterr()
    assert selcn("evaluate", *(tiny_run / "predictions").glob("*.csv"), "--resamples", 100, "--json") == 0
    figures = pd.DataFrame(json.loads(capsys.readouterr().out))
    recorded = pd.read_csv(tiny_run / "evaluation" / "lesion.csv")
    assert figures[figures["file"] == "lesion.csv"]["value"].tolist() == pytest.approx(recorded["value"].tolist())
    catalog = tiny_run / "data" / "catalog.csv"
    name = tiny_run / "predictions" / "diagnosis-standalone.csv"
    assert selcn("evaluate", name, "--by", "source", "--catalog", catalog, "--resamples", 50) == 0
    assert "phantom" in capsys.readouterr().out
    other = tiny_run / "predictions" / "diagnosis.csv"
    assert selcn("compare", name, other, "--resamples", 50) == 0
    assert "by permutation of lesions" in capsys.readouterr().out
    assert selcn("compare", name, other, "--resamples", 20, "--profile", "metrics-reloaded", "--beta", 1) == 0
    said = capsys.readouterr().out
    assert "- how often is the class right? " in said
    assert "f1_malignant" in said
    masks = tiny_run / "predictions" / "lesion.csv"
    assert selcn("compare", masks, masks, "--resamples", 20) == 0
    assert "test: Dice: no difference is shown" in capsys.readouterr().out
    assert selcn("compare", tiny_run, "--against", "diagnosis-standalone", "--profile", "metrics-reloaded") == 2
    assert "--profile: runs are compared by every metric; give --all" in capsys.readouterr().err
    assert selcn("compare", name, other, tiny_run) == 2
    assert selcn("compare", tiny_run, "--against", "lesion") == 2
    capsys.readouterr()
    assert (
        selcn("compare", tiny_run, tiny_run, "--against", "diagnosis-standalone", "--bounds", 1, "--resamples", 50) == 0
    )
    said = capsys.readouterr().out
    assert "diagnosis minus diagnosis-standalone, mean of 2 seeds" in said
    assert "after Holm" in said
    assert "symmetry" not in said
    assert selcn("report", tiny_run, "--out", tmp_path / "page.html") == 0
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_classes_of_hard_labels_are_ordered_as_given(
    tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("image_id,truth,prediction\na,low,low\nb,mid,low\nc,high,low\nd,high,high\n")
    labels = tmp_path / "grade.yaml"
    labels.write_text("{name: grade, classes: [low, mid, high], ordinal: true}")
    assert selcn("evaluate", answers, "--labels", labels, "--resamples", 50, "--json") == 0
    metrics = pd.DataFrame(json.loads(capsys.readouterr().out)).set_index("metric")["value"]
    # Observed 1 + 4; by chance, of truths 1, 1, 2 and answers 3, 0, 1 of 4: (3*0 + 1*4 + 3*1 + 1*1 + 6*4 + 2*0) / 4.
    assert metrics["weighted_kappa"] == pytest.approx(1 - 5 / 8)
    assert selcn("evaluate", answers, "--labels", "[low, high]") == 2
    assert selcn("evaluate", answers, "--labels", "grades") == 2
    assert "--labels grades: unknown label set" in capsys.readouterr().err


def test_a_broken_picture_does_not_keep_the_others_from_being_predicted(
    tiny_run: Path, pictures: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "nv" / "c.png").write_bytes(b"broken")
    assert selcn("predict", tiny_run / "bundle", pictures, "--out", tmp_path / "out") == 2
    assert "c.png: not a readable image" in " ".join(capsys.readouterr().err.split())
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert ["error" in line for line in lines] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "folder", "absent"], "absent: no such file or folder"),
        (["split", "absent.csv"], "absent.csv: cannot be read"),
        (["prepare", "absent.csv", "--size", "9"], "absent.csv: cannot be read"),
        (["run", "absent.yaml"], "absent.yaml: no such file and no preset"),
        (["predict", "absent", "."], "absent: no such file or folder"),
        (["evaluate", "absent.csv"], "absent.csv: cannot be read"),
        (["report", "absent"], "absent"),
        (["phantom", "x", "--size", "9"], "--size 9: write width x height"),
        (["train", "segmentation", "--config", "demo", "--mask", "lae"], "--mask: the segmentation network"),
        (["train", "symmetry", "--config", "demo", "--cam-mask", "lae"], "network symmetry reads no saliency"),
        (["train", "streaks", "--config", "demo"], "network streaks: the configuration has lesion, symmetry"),
        (["train", "symmetry", "--config", "demo", "--mask", "ring"], "masking 'ring': unknown; known are none"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    selcn: Selcn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.png").write_bytes(b"x")
    assert selcn(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"], "nothing half-written is left"


def test_the_installed_command_answers_a_mistake_without_a_traceback(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("selcn")
    result = subprocess.run([script, "split", "absent.csv"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: absent.csv: cannot be read")


def test_a_path_that_cannot_be_written_is_one_line(
    pictures: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert selcn("index", "folder", pictures, "--out", tmp_path / "file" / "c.csv") == 2
    assert "file: " in capsys.readouterr().err
    assert selcn("index", "folder", pictures, "--out", pictures) == 2
    assert not list(tmp_path.glob(".partial*"))


COMMANDS = [
    "phantom",
    "index",
    "audit",
    "split",
    "prepare",
    "train",
    "run",
    "grid",
    "tune",
    "evaluate",
    "mask",
    "predict",
    "report",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, selcn: Selcn, capsys: pytest.CaptureFixture[str]) -> None:
    assert selcn(command, "--help") == 0
    assert f"selcn {command}" in capsys.readouterr().out.split("Usage", 1)[1].split("Example", 1)[1]


def test_help_does_not_wait_for_torch() -> None:
    code = """
import sys, selcn.cli
sys.argv = ["selcn", "--help"]
try:
    selcn.cli.main()
except SystemExit:
    print([name for name in ("torch", "pandas", "cv2", "lightning") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_preset_is_shown_and_what_is_shown_can_be_run(
    tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("config", "show", "light", "--set", "diagnosis.epochs=3") == 0
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(path) == load_config(Path("light"), ["diagnosis.epochs=3"])
    assert selcn("config", "presets") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["demo", "light", "strong", "thesis"]


def test_a_profile_is_a_table(tiny_run: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("train", "segmentation", "--config", tiny_run / "config.yaml", "--out", tiny_run, "--profile")
    assert selcn(*arguments) == 0
    assert "waiting for data" in capsys.readouterr().out


def test_saliency_and_its_scores_of_a_run(
    tiny_run: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = tmp_path / "maps"
    name = pd.read_csv(tiny_run / "data" / "catalog.csv")["image_id"][0]
    assert selcn("saliency", tiny_run, "--network", "symmetry", "--out", maps) == 0
    assert "96 maps of 3x2, network symmetry" in capsys.readouterr().out
    # The same once more draws from what is there.
    assert selcn("saliency", tiny_run, "--head", "symmetry", "--out", maps, "--overlay", name) == 0
    assert [path.name for path in (maps / "overlays").iterdir()] == [f"{name}.png"]
    assert selcn("saliency", tiny_run, "--out", maps, "--head", "diagnosis") == 2
    assert "holds something else" in capsys.readouterr().err
    scores = tmp_path / "scores"
    arguments = ("--network", "symmetry", "--by", "symmetry", "--resamples", 20, "--json")
    assert selcn("saliency-eval", tiny_run, "--out", scores, *arguments) == 0
    summary = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert set(summary["against"]) == {"lesion", "asymmetry"}
    assert sorted(path.name for path in scores.iterdir()) == ["plan.json", "scores.csv", "subgroups.csv", "summary.csv"]
    assert selcn("saliency", tiny_run, "--network", "nose") == 2
    assert "has no network nose; it has lesion, symmetry, diagnosis" in capsys.readouterr().err


def test_the_version_is_told(selcn: Selcn, capsys: pytest.CaptureFixture[str]) -> None:
    assert selcn("--version") == 0
    assert capsys.readouterr().out == f"selcn {version('selcn')}\n"


@pytest.mark.parametrize(
    ("word", "network"),
    [("segmentation", "lesion"), ("symmetry", "symmetry"), ("classification", "diagnosis"), ("diagnosis", "diagnosis")],
)
def test_the_stage_words_of_the_thesis_are_understood(word: str, network: str) -> None:
    config = load_config(Path("demo"))
    assert find_network(config.graph, word) == network
    together = ["diagnosis", "diagnosis-standalone"] if word == "classification" else [network]
    assert (trained_together(config, network) if word == "classification" else [network]) == together


def test_maskings_of_the_command_line_add_variants_of_a_network_and_of_what_it_reads() -> None:
    demo = load_config(Path("demo"), ["symmetry.masking=none"])
    assert with_maskings(demo, "diagnosis", "none", "none") == (demo, "diagnosis")
    added, name = with_maskings(demo, "diagnosis", "segmentation", "lae")
    assert {one: section.masking for one, section in added.graph.classifiers.items()} == {
        "symmetry": "none",
        "diagnosis": "none",
        "diagnosis-standalone": "none",
        "symmetry-lae": "lae",
        name: "segmentation",
        f"{name}-standalone": "segmentation",
    }
    assert (name, added.graph.target) == ("diagnosis-segmentation-lae", "diagnosis")
    assert list(added.graph.classifiers[name].reads) == ["symmetry-lae"]
    assert all(added.networks[one] == section for one, section in demo.networks.items())
    read_only, name = with_maskings(added, "diagnosis", None, "lae")
    assert trained_together(read_only, name) == ["diagnosis-none-lae", "diagnosis-standalone"]
    assert len(read_only.graph.nodes) == len(added.graph.nodes) + 1
    recipe = with_maskings(load_config(Path("thesis")), "symmetry", "lae", None)[0].graph.classifiers["symmetry-lae"]
    assert (recipe.lr, recipe.weighted) == (3.34e-5, True)
