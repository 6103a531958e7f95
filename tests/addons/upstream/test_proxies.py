"""Which proxy a host is reached through, and what is said of one that is not used."""

import pytest
from mitmproxy import options

from addons.upstream.network import tls_context
from addons.upstream.proxies import (
    ByHost,
    Proxies,
    address_of,
    in_short,
    is_spared,
    notices,
    proxies,
    way_to_providers,
)
from addons.upstream.way import Direct, Proxied
from protocols.model.http import parsed

COMPANY = "http://user:pass%20word@proxy.example.com:3128"
REGULAR = ("regular",)


def opts(*modes: str, port: int = 8080) -> options.Options:
    made = options.Options()
    made.update(mode=list(modes or REGULAR), listen_port=port)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return made


@pytest.mark.parametrize(
    ("configured", "mode", "environ", "found"),
    [
        ("", "regular", {}, ("", "")),
        ("", "regular", {"HTTPS_PROXY": COMPANY}, ("", COMPANY)),
        ("", "regular", {"https_proxy": COMPANY, "HTTPS_PROXY": "http://x.test:1"}, ("", COMPANY)),
        ("", "regular", {"HTTPS_PROXY": "proxy.example.com:3128"}, ("", "http://proxy.example.com:3128")),
        ("http://ours.test:1", "regular", {"HTTPS_PROXY": COMPANY}, ("http://ours.test:1", COMPANY)),
        ("", "upstream:https://u.test:3", {"HTTPS_PROXY": COMPANY}, ("https://u.test:3", "")),
        ("http://ours.test:1", "upstream:https://u.test:3", {}, ("http://ours.test:1", "")),
        ("", "regular", {"HTTPS_PROXY": " "}, ("", "")),
    ],
)
def test_the_config_names_the_proxy_or_the_mode_or_the_shell(
    configured: str, mode: str, environ: dict[str, str], found: tuple[str, str]
) -> None:
    made = proxies(configured, opts(mode), environ)
    assert (made.providers, made.shell) == found


def test_the_proxy_of_the_mode_gets_the_credential() -> None:
    made = opts("upstream:http://proxy.test:3128")
    made.add_option("upstream_auth", str, "me:a b@c:d", "")
    assert proxies("", made, {}).providers == "http://me:a%20b%40c%3Ad@proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("socks5://127.0.0.1:1080", "a proxy is reached by http:// or https://, not by socks5://"),
        ("http://", "it is not an address such as http://proxy.example.com:3128"),
        ("http://proxy.test:port", "it is not an address such as http://proxy.example.com:3128"),
        ("http://a b:1", "it is not an address such as http://proxy.example.com:3128"),
        ("http://127.0.0.1:8080", "it is the address of this proxy itself"),
        ("http://localhost:8080", "it is the address of this proxy itself"),
    ],
)
def test_one_that_cannot_be_used_is_reported_and_not_used(url: str, reason: str) -> None:
    (line,) = notices(opts(), {"HTTPS_PROXY": url})
    assert line.startswith(
        f"HTTPS_PROXY is not used: {reason}: hosts are reached directly; set it to http://"
    )
    assert proxies("", opts(), {"HTTPS_PROXY": url}) == Proxies()


def test_of_two_the_mode_is_followed() -> None:
    environ = {"HTTPS_PROXY": COMPANY}
    (line,) = notices(opts("upstream:http://u.test:3"), environ)
    assert line == "HTTPS_PROXY is not used: --mode upstream names another proxy"
    assert list(notices(opts(), environ)) == []


def test_what_a_start_says_has_no_password() -> None:
    made = proxies("", opts(), {"HTTPS_PROXY": COMPANY, "NO_PROXY": ".corp.test"})
    assert in_short(made) == (
        "HTTPS_PROXY of this shell is used: https hosts are reached through proxy.example.com:3128, "
        "but not .corp.test"
    )
    assert in_short(Proxies("http://ours.test:1")) == ""
    assert "pass" not in repr(made)


def test_who_goes_through_which() -> None:
    both = Proxies("http://ours.test:1", COMPANY, "corp.test")
    shell = Proxies("", COMPANY, "corp.test")
    assert both.to_provider(parsed("http://127.0.0.1:9")) == "http://ours.test:1"
    assert shell.to_provider(parsed("https://api.openai.com")) == COMPANY
    assert shell.to_provider(parsed("https://llm.corp.test/v1")) == ""
    assert shell.to_provider(parsed("http://gateway.test:80")) == ""
    assert shell.to_host("localhost") == shell.to_host("127.0.0.1") == shell.to_host("::1") == ""
    assert shell.to_host("example.com") == COMPANY


@pytest.mark.parametrize(
    ("found", "through"),
    [
        (Proxies(), {}),
        (Proxies("http://ours.test:1", COMPANY), dict.fromkeys(("https", "http", "spared"), "ours.test")),
        (Proxies("", COMPANY, "corp.test"), {"https": "proxy.example.com"}),
    ],
    ids=["none", "providers", "shell"],
)
def test_each_provider_is_reached_by_its_way(found: Proxies, through: dict[str, str]) -> None:
    urls = {"https": "https://api.test", "http": "http://api.test", "spared": "https://api.corp.test"}
    tls = tls_context(insecure=False, ca_file=None, ca_dir=None)
    made = way_to_providers(found, tls)
    used = {name: made.to(parsed(url)) if isinstance(made, ByHost) else made for name, url in urls.items()}
    assert {name: way.proxy.host for name, way in used.items() if isinstance(way, Proxied)} == through
    assert [way for name, way in used.items() if name not in through] == [Direct(tls)] * (3 - len(through))


def test_a_password_goes_to_its_proxy_alone() -> None:
    made = Proxies("http://ours.test:1", COMPANY)
    assert made.authorization(("proxy.example.com", 3128)) == "Basic dXNlcjpwYXNzIHdvcmQ="
    assert made.authorization(("ours.test", 1)) == made.authorization(None) == ""


@pytest.mark.parametrize(
    ("host", "spared", "covered"),
    [
        ("api.corp.test", "corp.test", True),
        ("api.corp.test", "x.test, .corp.test", True),
        ("api.corp.test", "*.corp.test", True),
        ("API.Corp.test.", "CORP.TEST", True),
        ("apicorp.test", "corp.test", False),
        ("corp.test", "api.corp.test", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8 x", True),
        ("api.corp.test", "api.corp.test:443", True),
        ("api.corp.test", "corp.test:8443", False),
        ("api.corp.test", "corp.test.;other.test", True),
        ("fd00::1", "[fd00::1]:443", True),
        ("any.test", "*", True),
        ("any.test", "", False),
        ("any.test", " , ", False),
    ],
)
def test_no_proxy_names_hosts_as_other_tools_read_it(host: str, spared: str, *, covered: bool) -> None:
    assert is_spared(host, spared) is covered


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://proxy.example", ("proxy.example", 443)),
        ("http://user:word@[::1]:8/", ("::1", 8)),
        ("http://h", ("h", 80)),
    ],
)
def test_where_a_proxy_is(url: str, address: tuple[str, int]) -> None:
    assert address_of(url) == address
