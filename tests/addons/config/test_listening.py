"""Who may come in where the proxy listens, and the warnings of that."""

from pathlib import Path

import pytest
from mitmproxy import options
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.listening import COPIES, paste_line, paste_lines, warn_of_names, warn_of_others
from addons.config.providers import Configured
from addons.config.settings import Settings
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.policies.user_caps import Caps

KEY = PoolCredential(Credential("one", "openai"), SecretStr("sk-one"))
OPENAI = Provider("openai", "https://api.openai.com", ("api.openai.com",), ())
POOL = Settings(providers=(Configured(OPENAI, (KEY,)),))
NO_POOL = Settings(providers=(Configured(OPENAI),))


def opts(**values: object) -> options.Options:
    made = options.Options()
    made.add_option("block_private", bool, False, "")
    made.add_option("block_global", bool, True, "")
    made.add_option("proxyauth", str | None, None, "")
    made.update(**values)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return made


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"listen_host": "0.0.0.0"}, "0.0.0.0"),
        ({"listen_host": "192.0.2.7", "proxyauth": "any"}, "192.0.2.7"),
        ({"mode": ["regular@192.0.2.7:8080"]}, "192.0.2.7"),
        ({"mode": ["reverse:http://127.0.0.1:9@[::]:8080"]}, "[::]"),
        ({"mode": ["socks5"]}, "all addresses"),
    ],
)
def test_other_machines_without_a_password_are_warned_of(values: dict[str, object], where: str) -> None:
    (line,) = warn_of_others(opts(**values), POOL)
    assert line == (
        f"other machines can reach this proxy (it listens on {where}) and use your keys of openai: "
        "add --set proxyauth=USER:PASSWORD, or listen on --listen-host 127.0.0.1"
    )


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        ({"listen_host": "0.0.0.0"}, NO_POOL),
        ({"listen_host": "0.0.0.0", "proxyauth": "a:b"}, POOL),
        ({"listen_host": "127.0.0.1"}, POOL),
        ({"listen_host": "localhost"}, POOL),
        ({"mode": ["regular@[::1]:8080"]}, POOL),
        ({"mode": ["local:curl"]}, POOL),
        ({"block_private": True}, POOL),
    ],
)
def test_nobody_is_warned_of_where_nobody_can_spend_a_key(
    values: dict[str, object], settings: Settings
) -> None:
    assert list(warn_of_others(opts(**values), settings)) == []


@pytest.mark.parametrize(
    ("proxyauth", "why"), [(None, "nobody is asked for a name"), ("any", "everybody gives any name")]
)
def test_limits_of_users_that_nobody_knows_are_warned_of(proxyauth: str | None, why: str) -> None:
    limited = Settings(users={"alice": Caps(requests=1)})
    (line,) = warn_of_names(opts(proxyauth=proxyauth), limited)
    assert why in line
    assert line.endswith("add --set proxyauth=@FILE, a file of htpasswd")
    assert list(warn_of_names(opts(proxyauth="@passwords"), limited)) == []
    assert list(warn_of_names(opts(proxyauth=proxyauth), Settings())) == []


def test_the_lines_name_the_files_that_there_are(tmp_path: Path) -> None:
    ours = str(tmp_path / "mitmproxy-ca-cert.pem")
    lines = paste_lines(opts(confdir=str(tmp_path)), 8081).splitlines()
    assert "export HTTPS_PROXY=http://127.0.0.1:8081" in lines
    assert f"export SSL_CERT_FILE={ours}" in lines
    (tmp_path / "rotator-ca-bundle.pem").touch()
    lines = paste_lines(opts(confdir=str(tmp_path)), 8081).splitlines()
    assert f"export SSL_CERT_FILE={tmp_path / 'rotator-ca-bundle.pem'}" in lines
    assert f"export NODE_EXTRA_CA_CERTS={ours}" in lines
    assert lines[-1] == "unset SSL_CERT_DIR"


def test_a_log_has_them_in_one_line(tmp_path: Path) -> None:
    line = paste_line(opts(confdir=str(tmp_path)), 8081)
    assert line.startswith(
        "unset SSL_CERT_DIR; export HTTPS_PROXY=http://127.0.0.1:8081 https_proxy=http://127.0.0.1:8081 "
    )
    assert line.endswith(f" DENO_CERT={tmp_path / 'mitmproxy-ca-cert.pem'}")


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("::ffff:192.0.2.7", "http://192.0.2.7:8080"),
        ("2001:db8::7", "http://[2001:db8::7]:8080"),
        ("box.example", "http://box.example:8080"),
    ],
)
def test_another_machine_is_shown_the_address_by_which_it_came(host: str, proxy: str) -> None:
    lines = paste_lines(opts(), 8080, host).splitlines()
    assert lines[0].replace("'", "") == f"export HTTPS_PROXY={proxy}"
    assert lines[-1] == f"# {COPIES}"
    assert paste_line(opts(), 8080, host).endswith(f" ({COPIES})")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "::ffff:127.0.0.1"])
def test_this_machine_is_shown_its_own_address(host: str) -> None:
    lines = paste_lines(opts(), 8080, host)
    assert lines.startswith("export HTTPS_PROXY=http://127.0.0.1:8080\n")
    assert COPIES not in lines
