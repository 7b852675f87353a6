"""The examples of `deploy/`: each is read by the program that it is for, and the server works behind nginx."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import yaml
from playwright.sync_api import Browser
from typer.main import get_command

import selcn
from selcn.cli import app
from selcn.inference.predictor import Predictor
from selcn.serving.access import MAX_FAILURES, Access
from selcn.serving.uploads import Upload

DEPLOY = Path(__file__).parent.parent / "deploy"
ROOT_PATH = "/selcn"


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    """The usual bundle."""
    return selcn.load(tiny_run / "bundle")


def options() -> dict[str, str | None]:
    """Options of `selcn serve` with their variables."""
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {option.lstrip("-"): one.envvar for one in serve.params for option in one.opts}


def test_options_of_the_examples_exist() -> None:
    assert set(yaml.safe_load((DEPLOY / "server.yaml").read_text())) <= set(options())
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    unit = re.findall(r"SELCN_\w+", (DEPLOY / "selcn.service").read_text())
    assert set(service["environment"]) | set(unit) <= set(options().values())


def test_compose_mounts_what_the_image_serves() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    (service,) = compose["services"].values()
    dockerfile = (DEPLOY / service["build"] / "Dockerfile").read_text()
    (mounted,) = service["volumes"]
    assert f'"{mounted.split(":")[1]}"' in dockerfile
    assert f"EXPOSE {service['ports'][0].split(':')[-1]}" in dockerfile
    assert service["environment"]["SELCN_TOKEN_FILE"] == f"/run/secrets/{next(iter(compose['secrets']))}"


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here; install Debian's package systemd")
    unit = tmp_path / "selcn.service"
    unit.write_text((DEPLOY / "selcn.service").read_text().replace("/opt/selcn/bin/selcn", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def proxied(
    serve: Callable[..., AbstractContextManager[str]],
    predictor: Predictor,
    tiny_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """Address of nginx with the example's site, and that of the server behind it."""
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("no nginx or openssl here; install Debian's packages nginx-light and openssl")
    folder, port = tmp_path_factory.mktemp("nginx"), _free_port()
    key, certificate = folder / "selcn.key", folder / "selcn.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*asked, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    picture = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    samples = [Upload("one", picture.read_bytes())]
    with serve(
        predictor, access=Access("secret"), samples=samples, root_path=ROOT_PATH, proxies="127.0.0.1"
    ) as address:
        site = (DEPLOY / "nginx.conf").read_text()
        for there, here in (
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("http://127.0.0.1:8000", address),
            ("/etc/ssl/certs/selcn.pem", str(certificate)),
            ("/etc/ssl/private/selcn.key", str(key)),
        ):
            assert site.count(there) == 1
            site = site.replace(there, here)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
        )
        program = ["nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
        subprocess.run([*program, "-t"], check=True, capture_output=True)
        with subprocess.Popen([*program, "-g", "daemon off;"]) as process:
            while not _connects(port):
                assert process.poll() is None
                time.sleep(0.05)
            yield f"https://127.0.0.1:{port}{ROOT_PATH}", address
            process.terminate()


def test_the_interface_is_answered_behind_nginx(proxied: tuple[str, str], tiny_run: Path) -> None:
    address, _ = proxied
    picture = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    with httpx.Client(verify=False, timeout=60, headers={"authorization": "Bearer secret"}) as client:
        answer = client.post(f"{address}/v1/predict", files={"images": picture.read_bytes()})
        assert answer.status_code == 200
        assert len(answer.headers["x-request-id"]) == 32
        assert client.get(f"{address}/openapi.json").json()["servers"] == [{"url": ROOT_PATH}]
        assert client.get(f"{address}/docs").text.count(f"{ROOT_PATH}/openapi.json")
        assert client.post(f"{address}/v1/predict", content=b"x" * (20 * 2**20 + 1)).json()["detail"]


def test_only_trusted_proxies_are_believed_who_asks(proxied: tuple[str, str]) -> None:
    def wrong(address: str, client: str) -> int:
        headers = {"authorization": "Bearer wrong", "x-forwarded-for": client}
        return httpx.get(f"{address}/v1/model", headers=headers, verify=False).status_code

    behind, _ = proxied
    assert [wrong(behind, "203.0.113.1") for _ in range(MAX_FAILURES + 1)] == [401] * MAX_FAILURES + [429]
    assert wrong(behind, "203.0.113.2") == 401


def test_forged_addresses_are_not_believed_without_a_proxy(
    serve: Callable[..., AbstractContextManager[str]], predictor: Predictor
) -> None:
    with serve(predictor, access=Access("secret"), proxies="10.0.0.1") as address:
        statuses = [
            httpx.get(
                f"{address}/v1/model", headers={"authorization": "Bearer x", "x-forwarded-for": f"203.0.113.{number}"}
            ).status_code
            for number in range(MAX_FAILURES + 1)
        ]
    assert statuses == [401] * MAX_FAILURES + [429]


def test_the_page_is_served_behind_nginx(browser: Browser, proxied: tuple[str, str]) -> None:
    address, _ = proxied
    context = browser.new_context(ignore_https_errors=True)
    page, elsewhere = context.new_page(), []
    page.on(
        "request", lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((address, "data:")) else None
    )
    page.goto(f"{address}/")
    page.get_by_label("username").fill("selcn")
    page.get_by_label("password").fill("secret")
    page.get_by_role("button", name="Login").click()
    page.locator(".samples button").first.click()
    page.locator("article.answer").wait_for()
    cookies = {one["name"]: one for one in context.cookies()}
    assert cookies
    assert {one["sameSite"] for one in cookies.values()} == {"Lax"}
    assert any(one["secure"] for one in cookies.values())
    assert elsewhere == []
    context.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
