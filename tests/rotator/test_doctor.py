"""`rotator doctor`: programs that are really run, through a proxy that is really up."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from addons.config.client_variables import BUNDLE
from tests.e2e.proxy import Proxy
from tests.rotator.command import rotator

AGENTS = Path(os.environ.get("ROTATOR_AGENTS") or "~/.cache/rotator/agents").expanduser()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("doctor")) as running:
        yield running


@pytest.fixture
def only_curl(tmp_path: Path) -> dict[str, str]:
    """A PATH on which no other program is that is known."""
    found = shutil.which("curl")
    if found is None:
        pytest.skip("curl is not on PATH")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "curl").symlink_to(found)
    return {"PATH": str(tmp_path / "bin")}


def doctor(proxy: Proxy, home: Path, environment: Mapping[str, str]) -> tuple[int, list[str]]:
    done = rotator(home, "doctor", "-p", str(proxy.port), environment=environment, timeout=120)
    assert done.stderr == ""
    return done.returncode, [" ".join(line.split()) for line in done.stdout.splitlines()]


def trusting(proxy: Proxy) -> dict[str, str]:
    ca = str(proxy.ca)
    way = {"HTTPS_PROXY": proxy.url, "https_proxy": proxy.url}
    return {**way, "CURL_CA_BUNDLE": ca, "SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca}


def test_a_tool_that_goes_past_is_shown_what_to_paste(
    proxy: Proxy, tmp_path: Path, only_curl: dict[str, str]
) -> None:
    status, lines = doctor(proxy, tmp_path, only_curl)
    assert status == 1
    assert "curl goes past the proxy: needs HTTPS_PROXY, CURL_CA_BUNDLE, SSL_CERT_FILE" in lines
    assert f"export HTTPS_PROXY={proxy.url}" in lines
    assert f"export CURL_CA_BUNDLE={proxy.confdir / BUNDLE}" in lines


def test_a_tool_that_does_not_trust_us_is_shown_what_it_reads(
    proxy: Proxy, tmp_path: Path, only_curl: dict[str, str]
) -> None:
    status, lines = doctor(proxy, tmp_path, {**only_curl, "HTTPS_PROXY": proxy.url, "SSL_CERT_DIR": "/none"})
    assert status == 1
    (said,) = (line for line in lines if line.startswith("curl "))
    assert said.startswith("curl goes through the proxy, but does not trust its certificate: needs CURL_CA")
    assert said.endswith("no SSL_CERT_DIR")
    assert "unset SSL_CERT_DIR" in lines
    assert not any("HTTPS_PROXY" in line for line in lines)


def test_a_tool_that_comes_through_is_ok(proxy: Proxy, tmp_path: Path, only_curl: dict[str, str]) -> None:
    status, lines = doctor(proxy, tmp_path, {**only_curl, **trusting(proxy)})
    assert (status, lines[1:]) == (0, ["curl ok: goes through the proxy, and trusts it"])


def test_each_client_of_a_python_is_tried(proxy: Proxy, tmp_path: Path) -> None:
    path = str(Path(sys.executable).parent)
    _, lines = doctor(proxy, tmp_path, {"PATH": path, **trusting(proxy)})
    assert "python3 (urllib) ok: goes through the proxy, and trusts it" in lines
    assert "python3 (httpx) ok: goes through the proxy, and trusts it" in lines
    assert not any(line.startswith("python ") for line in lines), "the same one, by another name"


def test_variables_that_lead_past_the_proxy_are_named(
    proxy: Proxy, tmp_path: Path, only_curl: dict[str, str]
) -> None:
    wrong = {
        "NO_PROXY": "api.openai.com",
        "https_proxy": proxy.url.replace("http://", "https://"),
        "OPENAI_BASE_URL": f"{proxy.url}/v1",
    }
    status, lines = doctor(proxy, tmp_path, {**only_curl, **trusting(proxy), **wrong})
    assert status == 1
    assert "NO_PROXY covers api.openai.com: calls there go past the proxy: paste the lines below" in lines
    assert any(line.startswith("https_proxy begins with https://") for line in lines)
    assert any(line.startswith("OPENAI_BASE_URL is the proxy's own address: unset it") for line in lines)
    assert "export NO_PROXY=localhost,127.0.0.1,::1" in lines


def test_where_no_proxy_is_up_one_of_our_own_shows_what_would_be(
    tmp_path: Path, only_curl: dict[str, str]
) -> None:
    done = rotator(tmp_path, "doctor", "-p", "1", environment=only_curl, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scripts/rotator start` starts one" in done.stdout
    assert "ok: goes through the proxy, and trusts it" in done.stdout


def test_a_config_that_no_proxy_starts_with_is_shown(tmp_path: Path, only_curl: dict[str, str]) -> None:
    (tmp_path / "rotator.toml").write_text("[retry]\nmax_atempts = 3\n")
    done = rotator(tmp_path, "doctor", "-p", "1", environment=only_curl, timeout=120)
    assert done.returncode != 0
    assert "did you mean max_attempts" in done.stderr


@pytest.mark.parametrize("agent", ["claude", "codex", "gemini", "opencode"])
def test_an_agent_asks_by_its_own_client_and_spends_nothing(proxy: Proxy, tmp_path: Path, agent: str) -> None:
    program = AGENTS / agent / "node_modules" / ".bin" / agent
    if not program.exists():
        pytest.skip(f"{agent} is not installed: scripts/agents does that")
    (tmp_path / "bin").mkdir()
    for name in ("node", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    path = f"{tmp_path / 'bin'}:{program.parent}"
    authority = {"NODE_EXTRA_CA_CERTS": str(proxy.ca), "CODEX_CA_CERTIFICATE": str(proxy.ca)}
    _, lines = doctor(proxy, tmp_path, {"PATH": path, **trusting(proxy), **authority})
    assert f"{agent} ok: goes through the proxy, and trusts it" in lines
