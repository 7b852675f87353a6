import sys
from pathlib import Path

import pytest

from selcn.errors import ConfigError
from selcn.training import tracking


def test_trackers_that_are_unknown_or_not_installed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="--track neptune: unknown; known are wandb, mlflow"):
        tracking.trackers(["neptune"], tmp_path)
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"--track wandb: not installed; pip install 'selcn\[wandb\]'"):
        tracking.trackers(["wandb"], tmp_path)


def test_none_is_asked_for_unless_named(tmp_path: Path) -> None:
    assert tracking.trackers([], tmp_path) == []
    assert "wandb" not in sys.modules
    assert "mlflow" not in sys.modules
