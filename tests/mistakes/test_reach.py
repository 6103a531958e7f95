"""30 to 41: mistakes on the way to the proxy, and from there to the provider."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.company import CompanyProxy
from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.mistakes.comments import saved_comments, saving
from tests.mistakes.test_configuration import KEY, faults, has_line
from tests.mistakes.test_start import free_port
from tests.rotator.command import rotator
from tests.vendor import Vendor, VendorThread

CHAT = "/v1/chat/completions"
URL = f"https://api.openai.com{CHAT}"
CONFIG = '[providers.openai]\nbase_url = "{url}"\n'
DISTRUSTED = "this proxy's certificate for api.openai.com"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), options=saving(tmp_path)) as running:
        yield running
    assert "Traceback" not in running.log


def curl(environment: Mapping[str, str], url: str = URL) -> subprocess.CompletedProcess[str]:
    """As a user types it, with these variables alone."""
    command = (
        "curl",
        "-sS",
        "--max-time",
        "15",
        "-w",
        "%{http_code}",
        "-o",
        os.devnull,
        "-d",
        ask().decode(),
        url,
    )
    given = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def pasted(proxy: Proxy, environment: Mapping[str, str], command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell with these variables, into which the lines of the proxy were pasted."""
    lines = rotator(proxy.folder, "env", "-p", str(proxy.port), "--shell", "bash")
    given = {"PATH": os.environ["PATH"], "HOME": str(proxy.folder), **environment}
    both = f"{lines.stdout}\n{command}"
    return subprocess.run(["bash", "-c", both], env=given, capture_output=True, text=True, check=False)


def doctor(proxy: Proxy, program: str, text: str = "", **environment: str) -> str:
    """What it says of one program, or of one whose text is given."""
    folder = proxy.folder / "programs"
    folder.mkdir(exist_ok=True)
    if text:
        (folder / program).write_text(text)
        (folder / program).chmod(0o755)
    else:
        (folder / program).symlink_to(shutil.which(program) or program)
    given = {"PATH": str(folder), **environment}
    return rotator(proxy.folder, "doctor", "-p", str(proxy.port), environment=given).stdout


CALL = f"curl -sS --max-time 15 -w '%{{http_code}}' -o {os.devnull} -d '{ask().decode()}' {URL}"


def test_30_a_client_that_does_not_trust_us(proxy: Proxy) -> None:
    for _ in range(2):
        assert curl({"HTTPS_PROXY": proxy.url}).returncode == 60
    log = proxy.wait_log(DISTRUSTED)
    assert has_line(log, DISTRUSTED, "does not trust", "SSL_CERT_FILE=", "NODE_EXTRA_CA_CERTS=")
    said = doctor(proxy, "curl", HTTPS_PROXY=proxy.url)
    assert has_line(said, "curl ", "does not trust its certificate: needs CURL_CA_BUNDLE")


def test_31_other_roots_of_the_user(proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_text("")
    others = {"CURL_CA_BUNDLE": str(tmp_path / "other.pem"), "SSL_CERT_DIR": str(tmp_path)}
    assert pasted(proxy, others, CALL).stdout == "200"
    said = doctor(proxy, "curl", HTTPS_PROXY=proxy.url, SSL_CERT_FILE=str(proxy.ca), **others)
    assert has_line(said, "curl ", "CURL_CA_BUNDLE", "no SSL_CERT_DIR")


def test_32_no_proxy_that_covers_the_host(proxy: Proxy, vendor: VendorThread) -> None:
    others = {"NO_PROXY": "localhost,.openai.com", "no_proxy": "localhost,.openai.com"}
    assert pasted(proxy, others, CALL).stdout == "200"
    said = doctor(proxy, "curl", HTTPS_PROXY=proxy.url, CURL_CA_BUNDLE=str(proxy.ca), **others)
    assert has_line(said, "NO_PROXY covers api.openai.com", "go past the proxy", "paste the lines below")


OLD_NODE = '#!/bin/sh\n[ "$1" = --version ] && echo v20.11.0\nexit 1\n'


def test_33_a_node_that_takes_no_proxy(proxy: Proxy) -> None:
    said = doctor(proxy, "node", OLD_NODE, HTTPS_PROXY=proxy.url, NODE_USE_ENV_PROXY="1")
    assert has_line(said, "node (fetch)", "past the proxy", "Node 20.11.0", "22.21 or later")
    path = f"{proxy.folder / 'programs'}:{os.environ['PATH']}"
    done = rotator(
        proxy.folder, "run", "-p", str(proxy.port), "--", "node", "x.js", environment={"PATH": path}
    )
    assert has_line(done.stderr, "rotator: Node 20.11.0", "go past rotator", "22.21 or later")


def test_34_a_proxy_url_that_begins_with_https(proxy: Proxy) -> None:
    url = proxy.url.replace("http://", "https://")
    assert curl({"HTTPS_PROXY": url, "CURL_CA_BUNDLE": str(proxy.ca)}).returncode != 0
    log = proxy.wait_log("speaks TLS to the proxy itself")
    assert has_line(log, "speaks TLS to the proxy itself", "http://, not with https://")
    said = doctor(proxy, "curl", HTTPS_PROXY=url)
    assert has_line(said, "HTTPS_PROXY begins with https://", f"http://127.0.0.1:{proxy.port}")


def sdk_error(proxy: Proxy, **client: Any) -> dict[str, Any]:
    jobs = [{"client": {"max_retries": 0, **client}}]
    (result,) = sdk.run("openai-current", "openai_chat", proxy.environment(), jobs=jobs)["results"]
    return dict(result["error"])


def test_35_a_base_url_that_is_the_proxy(proxy: Proxy) -> None:
    error = sdk_error(proxy, base_url=f"{proxy.url}/v1")
    assert error["status"] == 403
    for part in ("is the proxy rotator itself", "OPENAI_BASE_URL", f"HTTPS_PROXY={proxy.url}"):
        assert part in error["text"]


def test_36_the_proxy_in_a_browser(proxy: Proxy) -> None:
    done = subprocess.run(
        ["curl", "-sS", "-H", "accept: text/html,*/*", f"{proxy.url}/"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "is rotator, a proxy for LLM tools" in done.stdout
    assert "http://rotator.local/" in done.stdout
    assert f"export HTTPS_PROXY={proxy.url}" in done.stdout


def test_37_lines_that_are_pasted_while_the_proxy_is_down(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    said = rotator(tmp_path, "status", environment={"HTTPS_PROXY": gone})
    assert said.returncode != 0
    assert has_line(said.stderr, f"no rotator answers at {gone}", "rotator start`")
    assert "env --unset" in said.stderr
    lines = rotator(tmp_path, "env", "-p", gone.rpartition(":")[2]).stdout
    taken_back = rotator(tmp_path, "env", "--unset").stdout
    for line in lines.splitlines():
        if line.startswith("export "):
            assert f"unset {line.removeprefix('export ').partition('=')[0]}" in taken_back.splitlines()


# --- the way to the provider


def test_38_a_company_proxy_in_the_shell_of_the_start(tmp_path: Path) -> None:
    with VendorThread(Vendor(tls=True)) as provider, CompanyProxy(provider.port) as company:
        keys = {"HTTPS_PROXY": f"http://127.0.0.1:{company.port}"}
        with Proxy(tmp_path, keys=keys, options=("--set", "ssl_insecure=true")) as proxy:
            with client(proxy) as http:
                assert http.post(URL, headers={"authorization": f"Bearer {KEY}"}, content=ask()).is_success
            assert curl({"HTTPS_PROXY": proxy.url}, "https://other.test/").returncode == 60
            assert has_line(proxy.log, "HTTPS_PROXY of this shell is used", f"127.0.0.1:{company.port}")
    assert {head.split()[1] for head in company.asked} == {"api.openai.com:443", "other.test:443"}


def test_38_a_company_proxy_that_cannot_be_used(tmp_path: Path) -> None:
    with Proxy(tmp_path, keys={"HTTPS_PROXY": "socks5://proxy.test:1080"}) as proxy:
        assert has_line(proxy.log, "HTTPS_PROXY is not used", "[upstream] proxy")


def test_39_a_proxy_of_the_config_without_a_scheme(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    said = faults(tmp_path, '[upstream]\nproxy = "proxy.example.com:3128"\n')
    assert has_line(said, "upstream.proxy: must be an address such as http://")


def test_40_a_provider_that_cannot_be_reached(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound_port = bound.getsockname()[1]
        config = CONFIG.format(url=f"http://127.0.0.1:{bound_port}")
        with Proxy(tmp_path, f"{config}[retry]\ndeadline = 1\n") as proxy:
            error = sdk_error(proxy)
            log = proxy.wait_log("Connection refused")
    assert "Connection refused" in error["text"]
    assert f"no answer from 127.0.0.1:{bound_port}" in error["text"]
    assert "attempts" in error["text"]
    assert "Connection refused" in log


def test_41_a_mistyped_path(proxy: Proxy) -> None:
    with client(proxy) as http:
        for _ in range(2):
            url = "https://api.openai.com/v1/chat/completion"
            assert (
                http.post(url, headers={"authorization": f"Bearer {KEY}"}, content=ask()).status_code == 404
            )
    log = proxy.wait_log("is no known call")
    warned = [line for line in log.splitlines() if "is no known call" in line]
    assert len(warned) == 1
    assert has_line(warned[0], "POST /v1/chat/completion", "with 404", f"did you mean {CHAT}?")
    proxy.stop()
    comments = saved_comments(proxy.folder)
    assert len(comments) == 2
    for comment in comments:
        assert has_line(comment, "POST /v1/chat/completion", "with 404", f"did you mean {CHAT}?")
