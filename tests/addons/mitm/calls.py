"""Calls through a mitmdump that runs stream_script.py, and what has to be left of them: nothing."""

from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path

from tests.addons.mitmdump import Mitmdump

SCRIPT = Path(__file__).with_name("stream_script.py")
BROKEN = (RemoteDisconnected, IncompleteRead, ConnectionError)


def get(client: HTTPConnection, path: str) -> HTTPResponse:
    ask(client, path)
    return client.getresponse()


def ask(client: HTTPConnection, path: str, method: str = "GET", body: bytes | None = None) -> None:
    client.request(method, target(client, path), body)


def target(client: HTTPConnection, path: str) -> str:
    """What the request line names: to a proxy the whole URL, through a tunnel the path."""
    return path if client.default_port == HTTPSConnection.default_port else f"http://api.test{path}"


def settled(proxy: Mitmdump, name: str, hook: str) -> None:
    """Exactly that one of the response and error hooks has run, nothing is left, and the flow is over."""
    proxy.wait(hook, name)
    proxy.wait_order(lambda flow: not flow["live"] and not flow["patched"], "flow", name=name)
    left = proxy.wait_order(lambda status: not status["active"], "status")
    assert [path for path in left["streams"] if name in path] == []
    assert left["collected"] == 0
    assert {each: len(proxy.seen(each, name)) for each in ("response", "error")} == {
        "response": int(hook == "response"),
        "error": int(hook == "error"),
    }
