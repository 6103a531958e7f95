"""The config at start and while running, the ways a proxy can stand, and who may speak to it."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.company import CompanyProxy, Refusing
from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, ask, client, connect, curl
from tests.vendor import Vendor, VendorThread

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "{key}" }}]
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
CHAT = "/v1/chat/completions"
URL = f"https://api.openai.com{CHAT}"
OWN = {"authorization": "Bearer sk-own-key"}


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_requests(vendor: VendorThread) -> None:
    vendor.requests.clear()


def served_by(proxy: Proxy, vendor: VendorThread) -> str:
    """The credential that a call leaves with."""
    with client(proxy) as http:
        assert http.post(URL, headers=OWN, content=ask()).status_code == 200
    return vendor.requests[-1].credential


# -- a config that cannot be used ---------------------------------------------------------------------

POOL = '[providers.openai]\ncredentials = [{{ name = "one", key = "{}" }}]\n'
BROKEN = {
    "a missing variable": (
        POOL.format("env:NOT_SET"),
        r"providers\.openai\.credentials\[0\]\.key: .*NOT_SET",
    ),
    "a missing file": (POOL.format("file:gone"), r"providers\.openai\.credentials\[0\]\.key: "),
    "a literal secret": (POOL.format("sk-very-secret-literal"), r"credentials\[0\]\.key: a literal secret"),
    "an unknown provider": (
        "[providers.opnai]\nreplace_oauth = true\n",
        r"providers\.opnai: .*did you mean openai",
    ),
    "an unknown name": ("[retry]\nmax_atempts = 3\n", r"retry\.max_atempts: .*did you mean max_attempts"),
    "a wrong type": ('[retry]\nmax_attempts = "many"\n', r"retry\.max_attempts: "),
    "no TOML": ("[providers\n", r"is not valid TOML"),
    "a number out of range": (
        '[providers.openai]\ncredentials = [{ name = "one", key = "cmd:echo sk", max_concurrency = 0 }]\n',
        r"providers\.openai\.credentials\[0\]\.max_concurrency: must be at least 1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_config_ends_the_start(tmp_path: Path, case: str) -> None:
    """One clear line, a status that is not 0, and nobody is served."""
    text, line = BROKEN[case]
    proxy = Proxy(tmp_path, text).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    (message,) = (one for one in proxy.log.splitlines() if str(proxy.config) in one)
    assert re.search(line, message), message
    assert "listening" not in proxy.log
    assert "Traceback" not in proxy.log
    assert "secret-literal" not in proxy.log


def test_a_broken_protocol_of_others_ends_the_start(tmp_path: Path) -> None:
    """Installed beside us, found by its entry point, and not importable: the error names its distribution."""
    info = tmp_path / "site" / "telegraph-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: telegraph\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rotator.protocols]\nmorse = nowhere_at_all:PROTOCOL\n")
    proxy = Proxy(tmp_path, "", keys={"PYTHONPATH": str(info.parent)}).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    (message,) = (one for one in proxy.log.splitlines() if "morse" in one)
    assert "protocols: entry point 'morse'" in message
    assert "'telegraph'" in message
    assert "Traceback" not in proxy.log


def test_a_config_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path)
    proxy.config.unlink()
    proxy.start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert f"{proxy.config}: cannot be read" in proxy.log
    assert "Traceback" not in proxy.log


def test_several_faults_are_reported_at_once(tmp_path: Path) -> None:
    text = POOL.format("env:NOT_SET") + "[retry]\nmax_atempts = 3\n[streaming]\nstall_timeout = -1\n"
    proxy = Proxy(tmp_path, text).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert all(word in proxy.log for word in ("NOT_SET", "max_atempts", "stall_timeout")), proxy.log


def test_an_override_is_blamed_by_its_own_name(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, keys={"ROTATOR__RETRY__MAX_ATTEMPTS": "x"}).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert "environment variable ROTATOR__RETRY__MAX_ATTEMPTS" in proxy.log


def test_a_port_in_use_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        proxy = Proxy(tmp_path, options=("-p", port)).start(expect_exit=True)
        assert proxy.wait_exit() != 0
    assert "address already in use" in proxy.log
    assert "Traceback" not in proxy.log


def test_a_port_in_use_for_the_page_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ("--web-port", port, "--no-web-open-browser")
        proxy = Proxy(tmp_path, options=options, program="mitmweb").start(expect_exit=True)
        assert proxy.wait_exit() == 1
    assert f"failed to listen on 127.0.0.1:{port}" in proxy.log
    assert "--set web_port=" in proxy.log
    assert "Traceback" not in proxy.log


# -- a config that changes ----------------------------------------------------------------------------


def test_a_changed_config_is_taken_over(tmp_path: Path, vendor: VendorThread) -> None:
    keys = {"ONE": ONE, "TWO": TWO}
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url, key="env:ONE"), keys=keys) as proxy:
        assert served_by(proxy, vendor) == ONE
        proxy.config.write_text(CONFIG.format(url=vendor.base_url, key="env:TWO"))
        proxy.wait_log("the changed config is in force")
        assert served_by(proxy, vendor) == TWO
        proxy.config.write_text("[providers.openai\n")
        proxy.wait_log("the settings before stay in force")
        assert served_by(proxy, vendor) == TWO
        proxy.config.unlink()
        proxy.wait_log("the settings before stay in force", count=2)
        assert served_by(proxy, vendor) == TWO
        proxy.config.write_text(CONFIG.format(url=vendor.base_url, key="env:ONE"))
        proxy.wait_log("the changed config is in force", count=2)
        assert served_by(proxy, vendor) == ONE
    assert "Traceback" not in proxy.log


def test_a_changed_key_file_is_taken_over(tmp_path: Path, vendor: VendorThread) -> None:
    secret = tmp_path / "secret"
    secret.write_text(ONE + "\n")
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url, key="file:secret")) as proxy:
        assert served_by(proxy, vendor) == ONE
        secret.write_text(TWO + "\n")
        proxy.wait_log("the changed config is in force")
        assert served_by(proxy, vendor) == TWO


def test_a_new_provider_is_intercepted(tmp_path: Path, vendor: VendorThread) -> None:
    added = '[providers.new]\nbase_url = "{url}"\nhosts = ["new.test"]\nprotocols = ["openai_chat"]\n'
    with Proxy(tmp_path) as proxy:
        proxy.config.write_text(added.format(url=vendor.base_url))
        proxy.wait_log("the changed config is in force")
        with client(proxy) as http:
            answer = http.post(f"https://new.test{CHAT}", headers=OWN, content=ask())
    assert answer.status_code == 200
    assert vendor.requests[-1].credential == "sk-own-key"


# -- no file at all -----------------------------------------------------------------------------------


def test_numbered_keys_make_a_pool(tmp_path: Path, vendor: VendorThread) -> None:
    keys = {
        "OPENAI_API_KEY": "sk-not-for-us",
        "OPENAI_API_KEY_1": ONE,
        "OPENAI_API_KEY_2": TWO,
        "ROTATOR__PROVIDERS__OPENAI__BASE_URL": vendor.base_url,
    }
    with Proxy(tmp_path, keys=keys, named=False) as proxy:
        assert served_by(proxy, vendor) == ONE


def test_without_anything_the_clients_key_is_kept(tmp_path: Path, vendor: VendorThread) -> None:
    keys = {
        "OPENAI_API_KEY": "sk-not-for-us",
        "ROTATOR__PROVIDERS__OPENAI__BASE_URL": vendor.base_url,
    }
    with Proxy(tmp_path, keys=keys, named=False) as proxy:
        assert served_by(proxy, vendor) == "sk-own-key"


def test_the_file_in_the_folder_is_found(tmp_path: Path, vendor: VendorThread) -> None:
    with Proxy(
        tmp_path, CONFIG.format(url=vendor.base_url, key="env:ONE"), keys={"ONE": ONE}, named=False
    ) as proxy:
        assert served_by(proxy, vendor) == ONE
        assert "config: ./rotator.toml; keys: openai 1" in proxy.log
        (tmp_path / "rotator.toml").unlink()
        proxy.wait_log("rotator.toml: is gone")
        assert served_by(proxy, vendor) == ONE


def test_a_file_that_appears_in_the_folder_does_not_take_over(tmp_path: Path, vendor: VendorThread) -> None:
    secret = tmp_path / "secret"
    secret.write_text(ONE)
    listed = json.dumps([{"name": "one", "key": f"file:{secret}"}])
    keys = {
        "ROTATOR__PROVIDERS__OPENAI__BASE_URL": vendor.base_url,
        "ROTATOR__PROVIDERS__OPENAI__CREDENTIALS": listed,
    }
    proxy = Proxy(tmp_path, keys=keys, named=False)
    proxy.config.unlink()
    with proxy:
        assert served_by(proxy, vendor) == ONE
        ran = tmp_path / "ran"
        proxy.config.write_text(POOL.format(f"cmd:touch {ran}"))
        secret.write_text(TWO)
        proxy.wait_log("the changed config is in force")
        assert served_by(proxy, vendor) == TWO
    assert not ran.exists()
    assert "config: no file; keys: openai 1" in proxy.log


def test_an_option_of_no_name_of_ours_is_reported(tmp_path: Path) -> None:
    with Proxy(tmp_path, options=("--set", "rotator_confg=x")) as proxy:
        assert proxy.log.count("--set rotator_confg: no such option, so it does nothing: did you mean") == 1


def test_a_choice_that_there_is_not_ends_the_start(tmp_path: Path) -> None:
    """It would have decrypted what the user did not ask for."""
    proxy = Proxy(tmp_path, options=("--set", "rotator_intercept=provider")).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert "--set rotator_intercept: must be providers or all" in proxy.log
    assert "listening" not in proxy.log


def test_what_a_client_says_is_one_line_that_no_terminal_obeys(tmp_path: Path, vendor: VendorThread) -> None:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url, key="env:ONE"), keys={"ONE": ONE}) as proxy:
        with client(proxy) as http:
            body = json.dumps({"model": "\x1b[2J\ncall=forged " + "m" * 100_000, "messages": []})
            http.post(URL, headers=OWN, content=body)
        log = proxy.wait_log("operation=generate")
    (line,) = (each for each in log.splitlines() if "operation=generate" in each)
    assert r"\\x1b[2J\\x0acall=forged mmm" in line
    assert len(line) < 2_200
    assert "\x1b" not in log


# -- ways to stand ------------------------------------------------------------------------------------


def test_plain_http_to_a_provider(tmp_path: Path, vendor: VendorThread) -> None:
    """A base URL without TLS: the proxy is asked for a whole URL."""
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    with Proxy(tmp_path, config, keys={"ONE": ONE}) as proxy, client(proxy) as http:
        by_name = http.post(f"http://api.openai.com{CHAT}", headers=OWN, content=ask())
        by_address = http.post(f"{vendor.base_url}{CHAT}", headers=OWN, content=ask())
        passed = http.get("http://api.openai.com/v1/files", headers=OWN)
    assert [answer.status_code for answer in (by_name, by_address, passed)] == [200, 200, 404]
    assert [one.credential for one in vendor.requests] == [ONE, ONE, ONE]
    assert [one.target for one in vendor.requests] == [CHAT, CHAT, "/v1/files"]


def test_reverse_mode(tmp_path: Path, vendor: VendorThread) -> None:
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    options = ("--mode", f"reverse:{vendor.base_url}")
    with Proxy(tmp_path, config, keys={"ONE": ONE}, options=options) as proxy:
        answer = httpx.post(proxy.url + CHAT, headers=OWN, content=ask(), trust_env=False)
        passed = httpx.get(proxy.url + "/v1/files", headers=OWN, trust_env=False)
    assert (answer.status_code, passed.status_code) == (200, 404)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert [one.credential for one in vendor.requests] == [ONE, ONE]


@pytest.mark.parametrize("pool", [True, False])
def test_reverse_mode_with_a_password(tmp_path: Path, vendor: VendorThread, *, pool: bool) -> None:
    """`upstream_auth` takes the place of the client's key, as in a bare mitmdump; like any other credential
    that is no API key it is not replaced, and stays in no flow."""
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    config = config if pool else config[: config.index("credentials")]
    options = (
        *("--mode", f"reverse:{vendor.base_url}", "--set", "upstream_auth=user:password"),
        *("-w", str(tmp_path / "flows")),
    )
    with Proxy(tmp_path, config, keys={"ONE": ONE}, options=options) as proxy:
        httpx.post(proxy.url + CHAT, headers=OWN, content=ask(), trust_env=False)
        httpx.get(proxy.url + "/v1/files", headers=OWN, trust_env=False)
    sent = [one.header("authorization") for one in vendor.requests]
    assert sent == ["Basic dXNlcjpwYXNzd29yZA=="] * 2
    assert b"dXNlcjpwYXNzd29yZA" not in (tmp_path / "flows").read_bytes()


def test_upstream_mode(tmp_path: Path, vendor: VendorThread) -> None:
    """Every call goes through the other proxy, the streamed ones that we make too, as who mitmproxy says."""
    (tmp_path / "outer").mkdir()
    (tmp_path / "inner").mkdir()
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    auth = "user:pass w@rd"
    outer_options = ("--set", "flow_detail=2", "--set", f"proxyauth={auth}")
    with Proxy(tmp_path / "outer", scripts=(), options=outer_options) as outer:
        options = ("--mode", f"upstream:{outer.url}", "--set", f"upstream_auth={auth}")
        with (
            Proxy(tmp_path / "inner", config, keys={"ONE": ONE}, options=options) as proxy,
            client(proxy) as http,
        ):
            answer = http.post(URL, headers=OWN, content=ask())
            passed = http.get("https://api.openai.com/v1/files", headers=OWN)
            plain = http.get("http://api.openai.com/v1/plain", headers=OWN)
        outer.wait_log(CHAT)
        outer.wait_log("/v1/files")
        outer.wait_log("/v1/plain")
    assert (answer.status_code, passed.status_code, plain.status_code) == (200, 404, 404)
    assert [one.credential for one in vendor.requests] == [ONE, ONE, ONE]
    assert "Traceback" not in proxy.log


def test_a_proxy_of_the_config(tmp_path: Path, vendor: VendorThread) -> None:
    """What passes through goes the same way as the calls that we make, with the same user name."""
    (tmp_path / "outer").mkdir()
    (tmp_path / "inner").mkdir()
    options = ("--set", "proxyauth=user:pass word", "--set", "flow_detail=2")
    with Proxy(tmp_path / "outer", scripts=(), options=options) as outer:
        way = outer.url.replace("//", "//user:pass%20word@")
        config = CONFIG.format(url=vendor.base_url, key="env:ONE") + f'[upstream]\nproxy = "{way}"\n'
        with Proxy(tmp_path / "inner", config, keys={"ONE": ONE}) as proxy, client(proxy) as http:
            answer = http.post(URL, headers=OWN, content=ask())
            passed = http.get("https://api.openai.com/v1/files", headers=OWN)
        outer.wait_log(CHAT)
        outer.wait_log("/v1/files")
    assert (answer.status_code, passed.status_code) == (200, 404)


@pytest.mark.parametrize("intercept", ["providers", "all"])
def test_the_proxy_of_the_shell(tmp_path: Path, intercept: str) -> None:
    """The only way out, for calls to providers, for what passes on their hosts, and for all other hosts."""
    with VendorThread(Vendor(tls=True)) as vendor, CompanyProxy(vendor.port) as company:
        keys = {
            "OPENAI_API_KEY_1": ONE,
            "HTTPS_PROXY": f"http://user:pass%20word@127.0.0.1:{company.port}",
            "NO_PROXY": "spared.test",
        }
        options = ("--set", "ssl_insecure=true", "--set", f"rotator_intercept={intercept}")
        with Proxy(tmp_path, keys=keys, options=options) as proxy, client(proxy) as http:
            called = http.post(URL, headers=OWN, content=ask())
            passed = http.get("https://api.openai.com/v1/files", headers=OWN)
            other = curl(proxy, "https://other.test/x", "-k", "-w", "%{http_code}", "-o", "/dev/null")
            spared = curl(proxy, "https://spared.test/x", "-k", "-w", "%{http_code}", "-o", "/dev/null")
            log = proxy.log
    assert (called.status_code, passed.status_code, other.stdout) == (200, 404, b"404")
    assert spared.stdout in (b"000", b"502"), "it is asked directly, and there is no such host"
    assert [head.split()[1] for head in company.asked] == [
        "api.openai.com:443",
        "api.openai.com:443",
        "other.test:443",
    ]
    assert all("\r\nProxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in head for head in company.asked)
    assert f"reached through 127.0.0.1:{company.port}, but not spared.test" in log
    assert "pass%20word" not in log


def test_a_proxy_of_the_shell_that_refuses_is_named_at_once(tmp_path: Path) -> None:
    """No time mends it: the call does not wait for the end of an outage."""
    with Refusing(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n") as company:
        keys = {"OPENAI_API_KEY_1": ONE, "HTTPS_PROXY": f"http://user:wrong@127.0.0.1:{company.port}"}
        with Proxy(tmp_path, keys=keys) as proxy, client(proxy) as http:
            answer = http.post(URL, headers=OWN, content=ask())
            log = proxy.wait_log("end=")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    said = f"the upstream proxy 127.0.0.1:{company.port} refused to connect to api.openai.com:443 with 407"
    assert said in answer.text
    assert said in log
    assert "wrong" not in answer.text + log
    assert company.asked == 1


def test_a_body_that_mitmproxy_would_stream_is_answered_all_the_same(
    tmp_path: Path, vendor: VendorThread
) -> None:
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    options = ("--set", "stream_large_bodies=10")
    with Proxy(tmp_path, config, keys={"ONE": ONE}, options=options) as proxy, client(proxy) as http:
        at_once = http.post(URL, headers=OWN, content=ask())
        in_pieces = http.post(URL, headers=OWN, content=iter([ask()[:15], ask()[15:]]))
    assert (at_once.status_code, in_pieces.status_code) == (200, 200)
    assert [one.credential for one in vendor.requests] == [ONE, ONE]
    assert [one.body for one in vendor.requests] == [ask(), ask()]


# -- who may speak to it, and of what ------------------------------------------------------------------


def own_ports(tmp_path: Path, program: str) -> Iterator[tuple[Proxy, int]]:
    web = free_port()
    options = ("--web-port", str(web), "--no-web-open-browser") if program == "mitmweb" else ()
    with Proxy(tmp_path, program=program, options=options) as proxy:
        yield proxy, web if program == "mitmweb" else proxy.port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


HOSTS = (
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "127.1",
    "127.9.9.9",
    "0.0.0.0",
    "2130706433",
    "[::1]",
    "[::ffff:127.0.0.1]",
)


@pytest.mark.parametrize("program", ["mitmdump", "mitmweb"])
def test_the_proxy_is_no_way_to_itself(tmp_path: Path, program: str) -> None:
    for proxy, port in own_ports(tmp_path, program):
        for host in HOSTS:
            sock, answer = connect(proxy, f"{host}:{port}")
            sock.close()
            assert answer.startswith(b"HTTP/1.1 403 "), (host, answer)
            plain = curl(proxy, f"http://{host}:{port}/", "-w", "%{http_code}", "-o", "/dev/null", "-g")
            assert plain.stdout == b"403", (host, plain)
        assert "Traceback" not in proxy.log


def test_other_ports_of_this_machine_are_open(tmp_path: Path, vendor: VendorThread) -> None:
    with Proxy(tmp_path) as proxy:
        answer = curl(proxy, f"{vendor.base_url}/x", "-w", "%{http_code}", "-o", "/dev/null")
        sock, tunnelled = connect(proxy, f"localhost:{vendor.port}")
        sock.close()
    assert answer.stdout == b"404"
    assert tunnelled.startswith(b"HTTP/1.1 200 ")


def outer_address() -> str:
    """An address of this machine that others reach it by; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            pytest.skip(f"this machine has no address but loopback: {error}")
        address: str = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


def test_by_default_it_serves_this_machine_alone(tmp_path: Path, vendor: VendorThread) -> None:
    address = outer_address()
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    with Proxy(tmp_path, config, keys={"ONE": ONE}, listen_host="") as proxy:
        assert served_by(proxy, vendor) == ONE
        with Http1(socket.create_connection((address, proxy.port), 10)) as other:
            try:
                other.send(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
                answer = other.rest()
            except ConnectionError:
                answer = b""
        assert answer == b""
        proxy.wait_log("block_private")


def test_a_named_listen_host_is_obeyed(tmp_path: Path, vendor: VendorThread) -> None:
    address = outer_address()
    config = CONFIG.format(url=vendor.base_url, key="env:ONE")
    with (
        Proxy(tmp_path, config, keys={"ONE": ONE}, listen_host="0.0.0.0") as proxy,
        Http1(socket.create_connection((address, proxy.port), 10)) as other,
    ):
        assert "other machines can reach this proxy" in proxy.log
        other.send(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
        assert other.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
