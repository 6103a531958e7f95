"""What is said of a program that was tried."""

import pytest

from rotator.diagnosis import Finding, needed, of_variables
from rotator.probing import Arrival, Probed
from rotator.runtimes import RUNTIMES

CURL = next(one for one in RUNTIMES if one.program == "curl")
PAST, DISTRUSTED, ANSWERED = (
    Probed(each, "why") for each in (Arrival.PAST, Arrival.DISTRUSTED, Arrival.ANSWERED)
)
VARIABLES = {
    "HTTPS_PROXY": "http://p",
    "https_proxy": "http://p",
    "NO_PROXY": "localhost",
    "no_proxy": "localhost",
    "CURL_CA_BUNDLE": "b",
    "SSL_CERT_FILE": "b",
}


@pytest.mark.parametrize(
    ("now", "environment", "names"),
    [
        (PAST, {}, ["HTTPS_PROXY", "https_proxy", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]),
        (PAST, {"NO_PROXY": "*", **{k: v for k, v in VARIABLES.items() if k != "NO_PROXY"}}, ["NO_PROXY"]),
        (DISTRUSTED, {"SSL_CERT_FILE": "b"}, ["CURL_CA_BUNDLE"]),
        (DISTRUSTED, {"SSL_CERT_DIR": "/x", "CURL_CA_BUNDLE": "b", "SSL_CERT_FILE": "b"}, ["SSL_CERT_DIR"]),
    ],
)
def test_what_has_to_change(now: Probed, environment: dict[str, str], names: list[str]) -> None:
    assert needed(CURL, now, environment, VARIABLES) == names


def test_a_line_says_how_far_it_came_and_what_to_do() -> None:
    assert Finding("curl", ANSWERED).line == "ok: goes through the proxy, and trusts it"
    mended = Finding("curl", PAST, ANSWERED, ["HTTPS_PROXY", "https_proxy", "SSL_CERT_DIR"])
    assert mended.line == "goes past the proxy: needs HTTPS_PROXY, no SSL_CERT_DIR"
    assert Finding("node", PAST, PAST, (), "it is old").line == "goes past the proxy: it is old"
    assert Finding("x", PAST, DISTRUSTED).line.endswith("do not help either: why")


def test_variables_that_are_right_are_not_named() -> None:
    assert [*of_variables({"HTTPS_PROXY": "http://127.0.0.1:8080"}, "127.0.0.1:8080", [])] == []
