"""What mitmproxy's options mean for us, and what we set of them."""

import asyncio
import logging
import re

import pytest
from mitmproxy import master, options
from mitmproxy.log import LogEntry

from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.startup import (
    TCP_TIMEOUT,
    Quiet,
    configure_proxy,
    connecting,
    make_upstream,
    provider_hosts,
    spare_legacy_log,
)
from addons.upstream.proxies import NO_PROXIES, Proxies
from rewrite.catalog.hosts import serves
from rewrite.catalog.providers import Provider


def opts(**values: object) -> options.Options:
    made = options.Options()
    made.add_option("block_private", bool, False, "")
    made.add_option("connection_strategy", str, "eager", "")
    made.add_option("tcp_timeout", int, 600, "")
    made.update(**values)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return made


@pytest.mark.parametrize(
    ("values", "blocked"),
    [
        ({}, True),
        ({"mode": ["regular@8081"]}, True),
        ({"mode": ["reverse:http://127.0.0.1:8000"]}, True),
        ({"listen_host": "0.0.0.0"}, False),
        ({"mode": ["regular@0.0.0.0:8081"]}, False),
        ({"mode": ["regular@127.0.0.1:8081", "socks5@8082"]}, True),
        ({"mode": ["regular@127.0.0.1:8081"]}, False),
    ],
)
def test_others_are_kept_out_unless_a_listen_host_is_named(
    values: dict[str, object], *, blocked: bool
) -> None:
    made = opts(**values)
    configure_proxy(made)
    assert made.block_private is blocked
    assert made.connection_strategy == "lazy"


@pytest.mark.parametrize(("said", "set_to"), [(600, TCP_TIMEOUT), (7200, 7200)])
def test_patience_is_only_lengthened(said: int, set_to: int) -> None:
    made = opts(tcp_timeout=said)
    configure_proxy(made)
    assert made.tcp_timeout == set_to


def configured(*hosts: str, base_url: str = "https://api.example.com") -> Settings:
    return Settings(providers=(Configured(Provider("p", base_url, hosts, ())),))


HOSTS = [
    ("api.example.com", 443),
    ("api.example.com", 8443),
    ("API.Example.com", 443),
    ("xapi.example.com", 443),
    ("api.example.com.evil.test", 443),
    ("apiXexample.com", 443),
    ("a.b.openai.azure.com", 443),
    ("localhost", 8080),
    ("localhost", 8081),
    ("127.0.0.1", 9),
]


@pytest.mark.parametrize(
    "settings",
    [
        configured("api.example.com"),
        configured("*.openai.azure.com"),
        configured("localhost:8080"),
        configured("api?example.com"),
        configured("nowhere", base_url="http://127.0.0.1:9/v1"),
    ],
)
def test_what_is_decrypted_is_what_is_served(settings: Settings) -> None:
    """The patterns for mitmproxy and the rule for a flow agree on every host."""
    pattern = re.compile(provider_hosts(settings), re.IGNORECASE)
    provider = settings.providers[0].provider
    matched = [bool(pattern.search(f"{host}:{port}")) for host, port in HOSTS]
    assert matched == [serves(provider, host, port) for host, port in HOSTS]
    assert any(matched)
    assert not all(matched)


async def test_a_trust_that_cannot_be_loaded_is_reported() -> None:
    wanted = connecting(opts(ssl_verify_upstream_trusted_ca="/nowhere/ca.pem"), NO_PROXIES)
    with pytest.raises(ValueError, match=r"/nowhere/ca\.pem"):
        make_upstream(wanted)


async def test_an_upstream_proxy_of_a_kind_that_is_not_known_is_reported() -> None:
    wanted = connecting(opts(), Proxies("socks5://127.0.0.1:1"))
    with pytest.raises(ValueError, match="socks5"):
        make_upstream(wanted)


async def test_connections_can_be_made() -> None:
    upstream = make_upstream(connecting(opts(), Proxies("http://127.0.0.1:1")))
    await upstream.close()


def test_an_ipv6_host_is_matched() -> None:
    pattern = provider_hosts(configured("[::1]"))
    assert re.search(pattern, "::1:443")
    assert not re.search(pattern, "::2:443")


async def test_a_line_after_the_event_loop_is_closed_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy's own handler calls the loop for each line; asyncio logs what it finds forgotten."""
    running = master.Master(options.Options())
    try:
        spare_legacy_log(running)
        monkeypatch.setattr(running, "event_loop", closed_loop())
        logging.getLogger("asyncio").error("Task exception was never retrieved")
    finally:
        running._legacy_log_events.uninstall()


class Listener:
    """An add-on of the time before mitmproxy 9."""

    def add_log(self, entry: LogEntry) -> None: ...


class Nest:
    """An add-on with others in it, as a script is."""

    def __init__(self, name: str, *addons: object) -> None:
        self.name, self.addons = name, addons


@pytest.mark.parametrize("listening", [Listener(), Nest("a", Nest("b"), Nest("c", Listener()))])
async def test_lines_go_to_add_ons_where_one_listens(listening: object) -> None:
    running = master.Master(options.Options())
    try:
        spare_legacy_log(running)
        line = logging.LogRecord("rotator", logging.INFO, "", 0, "a line", None, None)
        running.addons.add(Nest("other"))  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        assert not running._legacy_log_events.filter(line)
        running.addons.add(listening)  # type: ignore[no-untyped-call]  # the same
        assert running._legacy_log_events.filter(line)
        running.addons.remove(listening)  # type: ignore[no-untyped-call]  # the same
        assert not running._legacy_log_events.filter(line)
    finally:
        running._legacy_log_events.uninstall()


def closed_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def test_mitmproxys_own_lines_are_left_out_where_that_is_asked_for_and_come_back() -> None:
    made, connections, quiet = opts(), logging.getLogger("mitmproxy.proxy.server"), Quiet()
    made.add_option("flow_detail", int, 1, "")
    made.add_option("rotator_quiet", bool, True, "")
    quiet.follow(made)
    assert made.flow_detail == 0
    assert not connections.isEnabledFor(logging.INFO)
    assert connections.isEnabledFor(logging.WARNING)
    made.update(rotator_quiet=False)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    quiet.follow(made)
    assert made.flow_detail == 1
    assert connections.level == logging.NOTSET


@pytest.mark.parametrize(("quiet", "detail"), [(True, 2), (True, 0), (False, 0), (False, 1)])
def test_what_the_user_asked_for_of_flows_stays(detail: int, *, quiet: bool) -> None:
    made = opts()
    made.add_option("flow_detail", int, detail, "")
    made.add_option("rotator_quiet", bool, quiet, "")
    Quiet().follow(made)
    assert made.flow_detail == detail
    logging.getLogger("mitmproxy.proxy.server").setLevel(logging.NOTSET)


def test_mitmweb_shows_no_flows_on_the_terminal() -> None:
    made = opts()
    made.add_option("rotator_quiet", bool, True, "")
    Quiet().follow(made)
    assert "flow_detail" not in made
    logging.getLogger("mitmproxy.proxy.server").setLevel(logging.NOTSET)
