"""Contexts of TLS that keep no empty buffers."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.net import tls
from mitmproxy.proxy.context import Context
from mitmproxy.test import taddons, tflow
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from addons.mitm.tls_buffers import MAKERS, release_empty

CONTEXTS_BEFORE = {name: vars(tls)[name] for name in MAKERS}
OPTIONS = {
    "method": tls.Method.TLS_SERVER_METHOD,
    "min_version": tls.Version.TLS1_2,
    "max_version": tls.Version.UNBOUNDED,
    "cipher_list": None,
    "ecdh_curve": None,
    "chain_file": None,
    "alpn_select_callback": None,
    "request_client_cert": False,
    "extra_chain_certs": (),
    "dhparams": None,
}


@pytest.fixture
def installed() -> Iterator[None]:
    put_back = release_empty()
    yield
    put_back()


def releases(context: SSL.Context) -> bool:
    """Of one of which no connection was made."""
    return bool(context.set_mode(0) & SSL.MODE_RELEASE_BUFFERS)


def test_a_context_gives_empty_buffers_back(installed: None) -> None:
    assert releases(tls.create_client_proxy_context(**OPTIONS))


def test_connections_with_the_same_options_have_one_context(installed: None) -> None:
    context = tls.create_client_proxy_context(**OPTIONS)
    SSL.Connection(context)  # after which it cannot be changed
    assert tls.create_client_proxy_context(**OPTIONS) is context


@pytest.mark.filterwarnings("ignore:Attempting to mutate a Context:DeprecationWarning")
async def test_mitmproxy_makes_the_contexts_of_clients_and_servers_so(
    installed: None, tmp_path: Path
) -> None:
    """The pyOpenSSL of mitmproxy 12.1 tries ciphers on a connection, and warns of each change after that."""
    config = TlsConfig()
    with taddons.context(config) as here:  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        here.configure(config, confdir=str(tmp_path))
        context = Context(tflow.tclient_conn(), here.options)
        context.server.address = ("localhost", 443)
        client, server = TlsData(context.client, context=context), TlsData(context.server, context=context)
        config.tls_start_client(client)
        config.tls_start_server(server)
    assert client.ssl_conn
    assert server.ssl_conn
    makers = [vars(tls)[name] for name in MAKERS]
    assert [maker.cache_info().currsize for maker in makers] == [1, 1]


def test_the_makers_of_mitmproxy_come_back() -> None:
    put_back = release_empty()
    assert all(vars(tls)[name] is not maker for name, maker in CONTEXTS_BEFORE.items())
    put_back()
    assert all(vars(tls)[name] is maker for name, maker in CONTEXTS_BEFORE.items())


@pytest.mark.parametrize("name", MAKERS)
def test_a_mitmproxy_that_makes_them_in_another_way_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def other(**options: object) -> SSL.Context:
        raise AssertionError(options)

    monkeypatch.setattr(tls, name, other)
    with caplog.at_level(logging.WARNING):
        put_back = release_empty()
    assert vars(tls)[name] is other
    assert "makes contexts in another way" in caplog.text
    put_back()
    assert vars(tls)[name] is other
