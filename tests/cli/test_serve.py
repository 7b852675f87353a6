"""`selcn serve`: what is told before anything is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Selcn = Callable[..., int]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"colour": "blue"}, "colour is no option of serve; known are bundles, host, port, "),
        (["bundle"], "holds no options"),
        ({"bundles": "absent", "port": "many"}, "'--port'"),
        ({"bundles": "absent", "token-file": "no-such"}, "--token-file no-such: cannot be read"),
        ({"bundles": ["absent"], "allow-origin": "clinic.example"}, "--allow-origin clinic.example: is no origin"),
        ({"bundles": ["absent"], "page": False}, "absent"),
    ],
)
def test_a_file_of_options_is_checked(
    selcn: Selcn, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: object, told: str
) -> None:
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(options))
    assert selcn("serve", "--config", tmp_path / "server.yaml") == 2
    assert told in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("host", "token", "warns"), [("0.0.0.0", "", True), ("0.0.0.0", "x", False), ("::1", "", False)]
)
def test_a_server_that_everyone_reaches_warns_without_a_token(
    selcn: Selcn, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str, token: str, warns: bool
) -> None:
    monkeypatch.setenv("SELCN_TOKEN", token)
    assert selcn("serve", "absent", "--no-page", "--host", host) == 2
    assert ("warning: everyone who reaches 0.0.0.0 may ask" in capfd.readouterr().err) == warns
