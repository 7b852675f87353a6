"""The bundle that answers where none is named."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from selcn.errors import ConfigError, RunError
from selcn.inference import shipped
from selcn.inference.predictor import load
from selcn.inference.shipped import split_words

Selcn = Callable[..., int]


def test_the_first_word_is_a_bundle_or_an_image(tiny_run: Path, tmp_path: Path) -> None:
    bundle = str(tiny_run / "bundle")
    assert split_words([bundle, "a.png", "b/"]) == (bundle, ["a.png", "b/"])
    assert split_words(["hf://owner/name", "a.png"]) == ("hf://owner/name", ["a.png"])
    assert split_words(["a.png", bundle]) == (None, ["a.png", bundle])
    (tmp_path / "config.json").write_text("{}")  # one that lost its checksums
    assert split_words([str(tmp_path), "a.png"]) == (str(tmp_path), ["a.png"])
    with pytest.raises(ConfigError, match="is a run"):
        split_words([str(tiny_run), "a.png"])
    with pytest.raises(ConfigError, match="no images"):
        split_words([bundle])


def test_predict_mask_and_python_take_the_bundle_that_ships(
    tiny_run: Path, phantom: pd.DataFrame, tmp_path: Path, selcn: Selcn, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = phantom["image_path"][:3].to_list()
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / shipped.NAME).symlink_to(tiny_run / "bundle", target_is_directory=True)
    monkeypatch.setattr(shipped, "PLACES", (tmp_path / "absent", tmp_path / "bundles"))
    for out, words in {"given": [tiny_run / "bundle", *images], "shipped": images}.items():
        assert selcn("predict", *words, "--out", tmp_path / out, "--no-overlays") == 0
    given, own = ((tmp_path / out / "predictions.jsonl").read_text() for out in ("given", "shipped"))
    assert given == own
    assert selcn("mask", images[0], "--out", tmp_path / "masks") == 0
    assert load().digest == load(tiny_run / "bundle").digest


def test_an_installation_without_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "PLACES", (tmp_path,))
    with pytest.raises(RunError, match="name one"):
        load()
