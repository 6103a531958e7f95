"""Which hosts are whose, and where keys go."""

from dataclasses import replace

import pytest

from protocols.model.http import Origin
from rewrite.catalog.hosts import pool_origin, serves
from rewrite.catalog.provider_tables import provider

MINIMAL: dict[str, object] = {
    "base_url": "http://127.0.0.1:9000/api/",
    "hosts": ["llm.example.com", "*.llm.example.com", "other.example.com:8443", "[::1]:9001"],
    "protocols": ["openai_chat"],
}


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("llm.example.com", 443, True),
        ("LLM.Example.COM", 443, True),
        ("llm.example.com.", 443, True),
        ("llm.example.com", 1234, True),
        ("eu.llm.example.com", 443, True),
        ("evil-llm.example.com", 443, False),
        ("llm.example.com.evil.com", 443, False),
        ("other.example.com", 8443, True),
        ("other.example.com", 443, False),
        ("::1", 9001, True),
        ("::1", 9002, False),
        ("127.0.0.1", 9000, True),
        ("127.0.0.1", 9001, False),
    ],
)
def test_which_hosts_a_provider_serves(host: str, port: int, expected: bool) -> None:
    assert serves(provider("x", MINIMAL), host, port) is expected


@pytest.mark.parametrize(
    ("base_url", "host", "port"),
    [
        ("https://one.example.com/v1", "one.example.com", 443),
        ("http://one.example.com", "one.example.com", 80),
        ("https://ONE.example.com:8443", "one.example.com", 8443),
        ("http://[::1]:7000", "::1", 7000),
    ],
)
def test_the_authority_of_the_base_url_is_the_providers(base_url: str, host: str, port: int) -> None:
    one = replace(provider("x", MINIMAL), hosts=(), base_url=base_url)
    assert serves(one, host, port)
    assert not serves(one, host, port + 1)


@pytest.mark.parametrize(
    ("base_url", "hosts", "host", "port", "expected"),
    [
        (
            "http://mine.example/api",
            ("*.example",),
            "a.example",
            80,
            Origin("http", "mine.example", 80, "/api"),
        ),
        ("", ("mine.example",), "MINE.example.", 80, Origin("https", "mine.example", 443)),
        ("", ("mine.example",), "mine.example", 8080, Origin("https", "mine.example", 443)),
        ("", ("mine.example:8443",), "mine.example", 8443, Origin("https", "mine.example", 8443)),
        ("", ("mine.example:8443",), "mine.example", 80, None),
        ("", ("[::1]:8",), "::1", 8, Origin("https", "::1", 8)),
        ("", ("*.example",), "mine.example", 443, None),
        ("", ("m?ne.example", "other.example"), "mine.example", 443, None),
    ],
)
def test_the_config_alone_says_where_a_pool_key_goes(
    base_url: str, hosts: tuple[str, ...], host: str, port: int, expected: Origin | None
) -> None:
    one = replace(provider("x", MINIMAL), hosts=hosts, base_url=base_url)
    assert pool_origin(one, host, port) == expected


def test_a_bare_ipv6_host_holds_on_any_port() -> None:
    assert serves(replace(provider("x", MINIMAL), hosts=("::1",)), "::1", 5)


def test_a_provider_without_a_place_of_its_own_serves_its_hosts_alone() -> None:
    one = provider("x", {**MINIMAL, "base_url": ""})
    assert one.base_url == ""
    assert serves(one, "llm.example.com", 443)
    assert not serves(one, "", 443)
    assert not serves(one, ".", 443)
