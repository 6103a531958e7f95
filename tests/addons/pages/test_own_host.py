"""Who gets the pages at http://rotator.local/: programs of this machine, and nobody else."""

import json
import threading
import tomllib
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from addons.mitm.sink import Sink
from addons.pages.guard import HOST
from addons.pages.reply import Reply
from addons.pages.site import Query, Site
from addons.runtime.version import VERSION
from tests.addons.pages.bench import Bench, asked

ROOT = Path(__file__).parents[3]
URL = "http://rotator.local/status"


def answer(flow: http.HTTPFlow, bench: Bench | None = None) -> http.Response:
    found = (bench or Bench()).own_host.answer(flow)
    assert found is not None
    return found


class Written:
    """What a responder wrote."""

    def __init__(self) -> None:
        self.status, self.body = 0, b""

    def start(self, status: int, reason: bytes, headers: object) -> bool:
        self.status = status
        return True

    def send(self, data: bytes) -> bool:
        self.body += data
        return True

    def end(self) -> None:
        pass


async def acted(bench: Bench, flow: http.HTTPFlow, body: object) -> Written:
    """What an action came to, asked for as a whole."""
    flow.request.content = body if isinstance(body, bytes) else json.dumps(body).encode()
    early = bench.own_host.answer(flow)
    assert early is None, early.get_text()
    responder, written = bench.own_host.responder(flow), Written()
    assert responder is not None
    sink: Sink = written  # type: ignore[assignment]  # the part of it that is used
    await responder(sink)
    return written


def action(bench: Bench, path: str = "/cool", **headers: str) -> http.HTTPFlow:
    fitting = {"content_type": "application/json", "x_rotator_token": bench.pages.site.token}
    return asked(f"http://rotator.local{path}", "POST", **{**fitting, **headers})


COOL = {"provider": "openai", "name": "one", "seconds": 60}


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.8.8.8"])
def test_a_program_on_this_machine_gets_json(peer: str) -> None:
    found = answer(asked(URL, peer=peer))
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.headers["cache-control"] == "no-store"
    said = json.loads(found.get_text() or "")
    assert said == {"version": VERSION, "providers": {}, "waiting": 0, "sessions": 0, "calls": []}


@pytest.mark.parametrize("peer", ["192.168.1.7", "8.8.8.8", "fe80::1"])
def test_nobody_else_does(peer: str) -> None:
    found = answer(asked(URL, peer=peer))
    assert found.status_code == 403
    assert "providers" not in (found.get_text() or "")


@pytest.mark.parametrize(("draining", "status", "word"), [(False, 200, "ok"), (True, 503, "draining")])
def test_a_load_balancer_elsewhere_gets_one_word(draining: bool, status: int, word: str) -> None:
    bench = Bench()
    bench.draining = draining
    found = answer(asked("http://rotator.local/health", peer="192.168.1.7"), bench)
    assert (found.status_code, found.get_text()) == (status, f"{word}\n")


def test_no_web_page_gets_even_that() -> None:
    flow = asked("http://rotator.local/health", peer="192.168.1.7", origin="https://evil.example")
    assert answer(flow).status_code == 403


@pytest.mark.parametrize(("password", "status"), [("user:word", 200), ("any", 403)])
async def test_who_has_the_password_of_the_proxy_may_be_elsewhere(password: str, status: int) -> None:
    """But for a proxy that takes any. In an event loop: without one mitmproxy 12.1 makes one that it does not
    close."""
    with taddons.context() as context:  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        context.options.add_option("proxyauth", str, password, "")
        flow = asked(URL, peer="192.168.1.7")
        flow.metadata["proxyauth"] = ("user", "word")
        assert answer(flow).status_code == status


@pytest.mark.parametrize(
    ("url", "method", "status"),
    [
        ("http://rotator.local/nothing", "GET", 404),
        ("http://rotator.local/status?pretty", "GET", 200),
        ("http://rotator.local/status", "POST", 405),
        ("http://rotator.local/status", "HEAD", 200),
        ("http://rotator.local/cool", "GET", 405),
        ("http://rotator.local/events", "POST", 405),
        ("http://rotator.local:8080/status", "GET", 404),
        ("http://ROTATOR.local./status", "GET", 200),
        (f"http://rotator.local/status?{'a=1&' * 100}", "GET", 200),
    ],
)
def test_each_page_is_in_one_place(url: str, method: str, status: int) -> None:
    assert answer(asked(url, method)).status_code == status


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://rotator.local:8080"),
        ("origin", "http://rotator.local.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("referer", "https://evil.example/page"),
        ("referer", "http://rotator.local@evil.example/"),
        ("referer", "http://[/"),
    ],
)
@pytest.mark.parametrize("path", ["/status", "/events", "/cool"])
async def test_a_web_page_gets_nothing(path: str, header: str, value: str) -> None:
    bench = Bench(openai=["one"])
    url = f"http://rotator.local{path}"
    flow = action(bench) if path == "/cool" else asked(url)
    flow.request.headers[header] = value
    found = answer(flow, bench)
    assert found.status_code == 403
    assert "openai" not in (found.get_text() or "")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("sec-fetch-site", "none"),
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://rotator.local"),
        ("referer", "http://rotator.local/"),
        ("referer", "http://rotator.local:80/"),
    ],
)
def test_a_person_s_browser_and_our_own_page_get_it(header: str, value: str) -> None:
    flow = asked(URL)
    flow.request.headers[header] = value
    assert answer(flow).status_code == 200


@pytest.mark.parametrize(
    ("authority", "tls", "status"), [("", False, 404), (HOST, False, 200), ("", True, 200)]
)
def test_a_proxy_on_the_port_of_web_servers_is_none(authority: str, tls: bool, status: int) -> None:
    flow = asked(URL)
    flow.client_conn.sockname = ("127.0.0.1", 80)
    flow.client_conn.timestamp_tls_setup = 1.0 if tls else None
    flow.request.authority = authority
    assert answer(flow).status_code == status


def test_other_sites_cannot_frame_include_or_read_an_answer() -> None:
    headers = answer(asked(URL)).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_other_hosts_are_none_of_ours() -> None:
    bench, flow = Bench(), asked("http://example.com/status")
    assert bench.own_host.answer(flow) is None
    assert bench.own_host.responder(flow) is None


def test_what_came_past_the_first_look_is_answered_all_the_same() -> None:
    assert Bench().own_host.responder(asked(URL, peer="8.8.8.8")) is not None


async def test_an_action_steers_the_pool() -> None:
    bench = Bench(openai=["one", "two"])
    done = await acted(bench, action(bench), COOL)
    assert (done.status, json.loads(done.body)) == (200, {"done": True})
    assert [each.text for each in bench.notes] == ["cooled: openai/one is not used for 60 s"]
    (one, _) = bench.views.status()["providers"]["openai"]["credentials"]
    assert (one["state"], one["seconds"]) == ("cooling", 60.0)
    await acted(bench, action(bench, "/resume"), {"provider": "openai", "name": "one"})
    (one, _) = bench.views.status()["providers"]["openai"]["credentials"]
    assert one["state"] == "ready"
    await acted(bench, action(bench, "/retire"), {"provider": "openai", "name": "one"})
    (one, _) = bench.views.status()["providers"]["openai"]["credentials"]
    assert one["state"] == "retired"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_rotator_token": ""}, 403),
        ({"x_rotator_token": "wrong"}, 403),
        ({"x_rotator_token": "é"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_an_action_needs_the_token_and_json(headers: dict[str, str], status: int) -> None:
    bench = Bench(openai=["one"])
    assert (await acted(bench, action(bench, **headers), COOL)).status == status
    assert bench.notes == []


def test_each_process_has_a_token_of_its_own() -> None:
    one, two = Bench().pages.site.token, Bench().pages.site.token
    assert one != two
    assert len(one) >= 32


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON object"),
        ([], "JSON object"),
        ({"provider": "openai", "seconds": 60}, 'name the "name"'),
        ({**COOL, "seconds": "60"}, "whole number"),
        ({**COOL, "seconds": True}, "whole number"),
        ({**COOL, "seconds": 0}, "seconds"),
        ({**COOL, "name": "three"}, "there is no key of openai/three"),
        ({**COOL, "name": "\ud800\x1b[2J"}, r"there is no key of openai/\ud800\x1b[2J"),
        (b"[" * 4096, "JSON object"),
    ],
)
async def test_an_action_says_what_is_wrong(body: object, says: str) -> None:
    bench = Bench(openai=["one"])
    done = await acted(bench, action(bench), body)
    assert (done.status, says in done.body.decode()) == (400, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"transfer_encoding": "chunked"}, 411), ({"content_length": "5000"}, 413)],
)
def test_the_body_of_an_action_is_short(headers: dict[str, str], status: int) -> None:
    flow = action(bench := Bench())
    del flow.request.headers["content-length"]
    for name, value in headers.items():
        flow.request.headers[name.replace("_", "-")] = value
    assert answer(flow, bench).status_code == status


async def test_what_reads_files_does_so_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, threads, page = Bench(), list[str](), Site.page

    def noted(site: Site, method: str, path: str, query: Query) -> Reply:
        threads.append(threading.current_thread().name)
        return page(site, method, path, query)

    monkeypatch.setattr(Site, "page", noted)
    bench.ledger.configure(None)
    flow = asked("http://rotator.local/usage?since=1h&by=model")
    assert bench.own_host.answer(flow) is None
    responder, written = bench.own_host.responder(flow), Written()
    assert responder is not None
    await responder(written)  # type: ignore[arg-type]  # the part of it that is used
    bench.ledger.close()
    assert (written.status, json.loads(written.body)["by"]) == (200, ["model"])
    assert threads != [threading.current_thread().name]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
