"""What programs on this machine get from http://rotator.local/status, and nobody else."""

import json
import tomllib
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.call.recognition import page_of
from addons.credentials.overview import Overview
from addons.credentials.pool import Pool
from addons.credentials.status_page import StatusPage
from addons.runtime.version import VERSION

ROOT = Path(__file__).parents[3]


URL = "http://rotator.local/status"


def page() -> StatusPage:
    return StatusPage(Overview(Pool(lambda: 0.0, lambda _: None), lambda: 0.0), page_of)


def asked(url: str = URL, method: str = "GET", peer: str = "127.0.0.1") -> http.HTTPFlow:
    flow = tflow.tflow(req=http.Request.make(method, url))
    flow.client_conn.peername = (peer, 50_000)
    return flow


def answer(flow: http.HTTPFlow) -> http.Response:
    found = page().answer(flow)
    assert found is not None
    return found


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.8.8.8"])
def test_a_program_on_this_machine_gets_json(peer: str) -> None:
    found = answer(asked(peer=peer))
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.headers["cache-control"] == "no-store"
    said = json.loads(found.get_text() or "")
    assert said == {"version": VERSION, "providers": {}, "waiting": 0, "sessions": 0}


@pytest.mark.parametrize("peer", ["192.168.1.7", "8.8.8.8", "fe80::1"])
def test_nobody_else_does(peer: str) -> None:
    found = answer(asked(peer=peer))
    assert found.status_code == 403
    assert "providers" not in (found.get_text() or "")


@pytest.mark.parametrize(
    ("url", "method", "status"),
    [
        ("http://rotator.local/", "GET", 404),
        ("http://rotator.local/status?pretty", "GET", 200),
        ("http://rotator.local/status", "POST", 405),
        ("http://rotator.local/status", "HEAD", 200),
        ("http://rotator.local:8080/status", "GET", 404),
        ("http://ROTATOR.local./status", "GET", 200),
    ],
)
def test_there_is_nothing_else_there(url: str, method: str, status: int) -> None:
    assert answer(asked(url, method)).status_code == status


@pytest.mark.parametrize(
    ("header", "value"),
    [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")],
)
def test_a_web_page_gets_nothing(header: str, value: str) -> None:
    flow = asked()
    flow.request.headers[header] = value
    assert answer(flow).status_code == 403


def test_a_person_s_browser_gets_it() -> None:
    flow = asked()
    flow.request.headers["sec-fetch-site"] = "none"
    assert answer(flow).status_code == 200


def test_other_hosts_are_none_of_ours() -> None:
    assert page().answer(asked("http://example.com/status")) is None


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
