"""21 to 29: mistakes at the start, and in routes."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import ask, client
from tests.mistakes.test_configuration import KEY, has_line, understood
from tests.rotator.command import ROOT, rotator
from tests.vendor import VendorThread


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_21_an_old_python(home: Path) -> None:
    """In a copy of the checkout, which has no environment yet, on a machine whose one Python is too old."""
    copy, path = home / "checkout", home / "bin"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    path.mkdir()
    for name in ("bash", "dirname", "cat", "sed", "sort", "ls", "head", "uname"):
        (path / name).symlink_to(shutil.which(name) or name)
    for name in ("python3", "python"):
        (path / name).write_text(f"#!{shutil.which('bash')}\nexit 1\n")  # as to the question for its version
        (path / name).chmod(0o755)
    done = subprocess.run(
        [str(path / "bash"), str(copy / "scripts" / "start")],
        env={"PATH": str(path), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no Python 3.12 or newer was found" in done.stderr
    assert "python3: " in done.stderr
    assert "install" in done.stderr


def test_22_a_port_in_use(home: Path, taken: int) -> None:
    done = rotator(home, "start", "-p", str(taken))
    assert done.returncode == 1
    assert has_line(done.stderr, f"port {taken} is in use by another program", "-p PORT")
    assert "Traceback" not in done.stderr
    with Proxy(home) as other:
        again = rotator(home, "start", "-p", str(other.port))
    assert again.returncode == 1
    assert has_line(again.stderr, f"a rotator is up at {other.url} already", "-p PORT")


def test_23_a_port_in_use_for_the_page(home: Path, taken: int) -> None:
    options = ("--web-port", str(taken), "--no-web-open-browser")
    proxy = Proxy(home, options=options, program="mitmweb").start(expect_exit=True)
    assert proxy.wait_exit() == 1
    assert has_line(proxy.log, f"failed to listen on 127.0.0.1:{taken}")
    assert "--set web_port=" in proxy.log
    assert "Traceback" not in proxy.log
    done = rotator(home, "start", "--web", "-p", "0", *options)
    assert done.returncode == 1
    assert has_line(done.stderr, f"port {taken} is in use by another program", "--set web_port=")


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_API_KEYS", "OPENAI_API_KEY_A"])
def test_24_a_plain_key_alone(home: Path, variable: str) -> None:
    said = understood(home, "", **{variable: KEY})
    assert has_line(said, f"{variable}: left to your tools", "OPENAI_API_KEY_1")


def test_24_a_plain_key_alone_at_the_start(home: Path) -> None:
    with Proxy(home, keys={"OPENAI_API_KEY": KEY}) as proxy:
        assert has_line(proxy.log, "OPENAI_API_KEY: left to your tools", "OPENAI_API_KEY_1")


def test_25_a_proxy_that_other_machines_reach(home: Path) -> None:
    with Proxy(home, keys={"OPENAI_API_KEY_1": KEY}, listen_host="0.0.0.0") as proxy:
        assert has_line(proxy.log, "other machines can reach this proxy", "your keys of openai", "proxyauth=")
        assert KEY not in proxy.log


def test_25_what_other_machines_paste(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rotator", "start", "-p", str(free_port()), "--listen-host", "0.0.0.0"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if "On another machine" in line)
    finally:
        process.terminate()
        process.communicate()
    assert "http://127.0.0.1" not in line


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_26_the_add_on_run_as_a_program(home: Path) -> None:
    done = subprocess.run([sys.executable, str(ADDON)], capture_output=True, text=True, cwd=home, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "add-on of mitmproxy" in done.stderr
    assert "scripts/start" in done.stderr


# --- routes


def test_27_a_misspelt_glob(home: Path) -> None:
    route = '[[routes]]\nmatch = { model = "cluade-*" }\nto = ["openai/gpt-5"]\n'
    said = understood(home, route, OPENAI_API_KEY_1=KEY)
    assert has_line(said, "routes[0].match.model: ", "cluade-*", "did you mean claude-*?")
    assert "such as POST https://" in said
    with Proxy(home, route, keys={"OPENAI_API_KEY_1": KEY}) as proxy:
        assert has_line(proxy.log, "routes[0].match.model: ", "did you mean claude-*?")


def test_28_a_provider_that_has_no_such_models(home: Path) -> None:
    route = '[[routes]]\nmatch = { model = "claude-*" }\nto = ["openai"]\n'
    said = understood(home, route, OPENAI_API_KEY_1=KEY)
    assert has_line(said, "routes[0].to[0]: openai would be asked for claude-*", "write openai/MODEL")


def test_29_a_target_without_a_key(home: Path) -> None:
    route = '[[routes]]\nmatch = { model = "claude-*" }\nto = ["openai/gpt-5"]\n'
    said = understood(home, route)
    assert has_line(
        said, "routes[0].to[0]: openai has no credentials", "OPENAI_API_KEY_1", "providers.openai"
    )
    with VendorThread() as vendor:
        config = f'{route}[providers.anthropic]\nbase_url = "{vendor.base_url}"\n'
        with Proxy(home, config) as proxy, client(proxy) as http:
            answer = http.post(
                "https://api.anthropic.com/v1/messages",
                headers={"x-api-key": KEY},
                content=ask("claude-sonnet-4-5"),
            )
    assert answer.status_code == 400
    assert "openai/gpt-5" in answer.text
    assert "providers.openai.credentials" in answer.text
