"""The lines of `rotator env`."""

import pytest
from typer.testing import CliRunner

from addons.config.client_variables import NAMES
from rotator import env
from rotator.found import Address, Found
from rotator.main import app

HERE = Found(Address(port=8097, login="me:p@ss"), "1", "ok", 7, "", "/a b/bundle.pem", "/a b/ca.pem", "")


def lines(*options: str) -> list[str]:
    done = CliRunner().invoke(app, ["env", *options])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@pytest.fixture
def _up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "find", lambda port: HERE)


@pytest.fixture
def _down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "find", lambda port: None)


@pytest.mark.usefixtures("_up")
def test_the_proxy_that_is_up_is_named_in_the_language_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "set -gx HTTPS_PROXY 'http://me:p%40ss@127.0.0.1:8097'" in lines()
    bash = lines("--shell", "bash")
    assert "export SSL_CERT_FILE='/a b/bundle.pem'" in bash
    assert "export NODE_EXTRA_CA_CERTS='/a b/ca.pem'" in bash
    assert "export no_proxy=localhost,127.0.0.1,::1" in bash
    assert bash[-1] == "unset SSL_CERT_DIR"


def test_they_can_be_taken_back() -> None:
    assert lines("--shell", "zsh", "--unset") == [f"unset {name}" for name in NAMES]


@pytest.mark.usefixtures("_down")
def test_without_a_proxy_nothing_is_pasted() -> None:
    """A shell that has this in its profile keeps its tools."""
    done = CliRunner().invoke(app, ["env"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("rotator: no rotator answers at http://127.0.0.1:8080: start it with")


@pytest.mark.usefixtures("_down")
def test_a_proxy_that_will_be_up_can_be_named() -> None:
    done = CliRunner().invoke(app, ["env", "-p", "8099", "--shell", "bash"])
    assert "export HTTPS_PROXY=http://127.0.0.1:8099\n" in done.stdout
    assert "no rotator answers at http://127.0.0.1:8099" in done.stderr
