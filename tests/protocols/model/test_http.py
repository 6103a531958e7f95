"""What may say where a request goes, and paths as servers may read them."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.call import Operation
from protocols.model.http import (
    Origin,
    UpstreamRequest,
    fits,
    is_host,
    is_method,
    is_normal,
    is_origin_form,
    matched,
    normalised,
    parsed,
)


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("https://api.openai.com", Origin("https", "api.openai.com", 443), "api.openai.com"),
        ("https://API.openai.com:443/", Origin("https", "api.openai.com", 443), "api.openai.com"),
        ("http://localhost:1/", Origin("http", "localhost", 1), "localhost:1"),
        ("http://[::1]:8/api/", Origin("http", "::1", 8, "/api"), "[::1]:8"),
        ("HTTP://h/a/b", Origin("http", "h", 80, "/a/b"), "h"),
    ],
)
def test_a_base_url_is_an_origin(url: str, expected: Origin, authority: str) -> None:
    assert (parsed(url), parsed(url).authority) == (expected, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://h",
        "https://",
        "https://user@h",
        "https://@h",
        "https://h?",
        "https://h/#",
        "https://h:0",
        "https://h:65536",
        "https://h:port",
        "https://h\t.evil",
        "https://h/a b",
        "https://h\\evil",
        "https://h%2eevil",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://\N{LATIN SMALL LETTER U WITH DIAERESIS}.example",
    ],
)
def test_what_is_no_base_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(url)


@pytest.mark.parametrize(
    ("prefix", "target", "expected"),
    [
        ("", b"/v1/a?b", b"/v1/a?b"),
        ("/openai", b"/v1/a", b"/openai/v1/a"),
        ("/openai", b"/openai/v1/a", b"/openai/v1/a"),
        ("/openai", b"/openai2/v1/a", b"/openai/openai2/v1/a"),
    ],
)
def test_a_prefix_is_there_once(prefix: str, target: bytes, expected: bytes) -> None:
    assert Origin("https", "h", 443, prefix).under(target) == expected


def test_the_whole_for_a_reader() -> None:
    assert parsed("https://g.x/openai").url(b"/v1/a?b") == "https://g.x/openai/v1/a?b"


@pytest.mark.parametrize(
    "host", ["h", "api.openai.com", "api.openai.com.", "my_box", "127.0.0.1", "::1", "0.0"]
)
def test_hosts(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "a/b",
        "a#b",
        "a?b",
        "u@h",
        "a b",
        "a\n",
        "h:1",
        "[::1]",
        "fe80::1%x",
        "a%2eb",
        "\xfc",
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_host(host: str) -> None:
    assert not is_host(host)


@pytest.mark.parametrize("target", [b"/", b"/v1/a?b=c&d", b"//evil.tld/x", b"/a/../b", b"/?q='%20+\"{|}\\"])
def test_targets(target: bytes) -> None:
    assert is_origin_form(target)


BAD_TARGETS = [
    b"",
    b"*",
    b"@evil/v1",
    b":x@evil/v1",
    b".evil.tld/v1",
    b"https://evil/v1",
    b"v1/x",
    b"?a",
    b"/a#b",
    b"/a b",
    b"/a\tb",
    b"/a\r\nx: y",
    b"/a\n",
    b"/\x00",
    b"/\x7f",
    b"/caf\xc3\xa9",
]


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_what_is_no_target_is_never_sent(target: bytes) -> None:
    assert not is_origin_form(target)
    with pytest.raises(ValueError, match="origin form"):
        UpstreamRequest(parsed("https://h"), "GET", target, ())


@pytest.mark.parametrize("method", ["", "GET /x", "G\r\n", "G\xe9T"])
def test_what_is_no_method_is_never_sent(method: str) -> None:
    assert not is_method(method)
    with pytest.raises(ValueError, match="a method"):
        UpstreamRequest(parsed("https://h"), method, b"/", ())


def test_a_method_of_ones_own() -> None:
    assert is_method("M-SEARCH")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/files",
        "/V1/Files/",
        "/v1/files/a%20b",
        "/v1beta/models/m%3AcountTokens",
        "/v1/fine_tuning/jobs/ft:gpt-4o:org::id",
        "/v1/caf%C3%A9/~x/.well-known/a..b/...",
    ],
)
def test_paths_that_mean_one_thing(path: str) -> None:
    assert is_normal(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1//files",
        "//v1",
        "/v1/./x",
        "/v1/../x",
        "/v1/..",
        "/v1/.",
        "/v1/x\\y",
        "/v1;a/x",
        "/v1/%6frganization",
        "/v1/%2e%2E/x",
        "/v1/x%2Fy",
        "/v1/x%5cy",
        "/v1/%252e/x",
        "/v1/x%00",
        "/v1/x%0a",
        "/v1/x%3fy",
        "/v1/x%23y",
        "/v1/x%c0%afy",
        "/v1/x%",
        "/v1/x%zz",
    ],
)
def test_paths_that_may_mean_another(path: str) -> None:
    assert not is_normal(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/organization/users",
        "/V1/Organization/Users/",
        "//v1//organization/users",
        "/v1/x/../organization/./users",
        "/v1/%6Frganization/users",
        "/v1/%256frganization%2Fusers",
        "/v1\\organization;a=b/users",
    ],
)
def test_a_path_is_known_however_it_is_written(path: str) -> None:
    assert normalised(path) == "/v1/organization/users"
    assert fits(path, ["/v1/Organization*"])
    assert fits("/gateway" + path, ["/v1/organization*"], "/gateway")
    assert not fits(path, ["/v1/me", "/v1/organization"])


@given(st.text(min_size=1, max_size=20))
def test_any_text_is_a_path(text: str) -> None:
    """Nothing raises, and what is normal and all in small letters is read as it is written."""
    path = "/" + text
    assert normalised(path).startswith("/")
    if is_normal(path) and "%" not in path and path == path.lower():
        assert normalised(path) == "/" + text.strip("/")


@given(st.text("ab ", min_size=1, max_size=9))
def test_what_has_to_be_encoded_is_normal(text: str) -> None:
    assert is_normal("/" + quote(text))


PATHS = (
    ("POST", re.compile(r"/ask$"), Operation.GENERATE),
    ("GET", re.compile(r"/ask$"), Operation.MODELS),
)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/ask", Operation.GENERATE),
        ("GET", "/v1/ask", Operation.MODELS),
        ("PUT", "/v1/ask", None),
        ("POST", "/v1/ask/more", None),
    ],
)
def test_method_and_path_make_an_operation(method: str, path: str, operation: Operation | None) -> None:
    assert matched(PATHS, method, path) is operation
