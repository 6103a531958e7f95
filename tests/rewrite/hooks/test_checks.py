"""What hooks may give, and what of it cannot be used."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocols.model.call import Operation, Rendered
from protocols.model.http import WireResponse
from protocols.model.parts import Usage
from rewrite.hooks.base import About, Hooks, Unsigned
from rewrite.hooks.calling import CallHooks, HookFailed, ProviderHooks

HOST = ("host", "acme.test")
ASKED = Rendered("/v1/chat", {"model": "m"})
UNSIGNED = Unsigned("POST", "https://acme.test/v1/chat", (HOST, ("x-title", "caf\udce9")), b"{}")
ANSWER = WireResponse(429, (("retry-after", "1"),), b"{}", "Too Many")
ENDLESS: dict[str, object] = {}
ENDLESS["self"] = ENDLESS


def giving(name: str, give: Callable[[Any], object], operation: Operation = Operation.GENERATE) -> CallHooks:
    """Hooks of which `name` gives what `give` makes of what it gets."""
    code = type("Giving", (Hooks,), {name: lambda _, *given: give(given[0])})
    return CallHooks(ProviderHooks("acme", code()), About("acme", "openai_chat", "m", operation, stream=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "v1/chat"},
        {"path": b"/v1/chat"},
        {"path": "/v1/\ud800"},
        {"body": [1]},
        {"body": "{}"},
        {"body": {"a": Ellipsis}},
        {"body": ENDLESS},
        {"headers": None},
        {"headers": {"ab": "cd"}},
        {"headers": (("a", 1),)},
        {"headers": (("a",),)},
        {"headers": (("", "b"),)},
        {"headers": (("a b", "c"),)},
        {"headers": (("a", "b\r\nhost: evil.test"),)},
        {"headers": (("a", "\ud800"),)},
        {"headers": (("Host", "evil.test"),)},
    ],
    ids=repr,
)
def test_a_request_that_cannot_be_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(HookFailed, match="the hook prepare_request of acme failed"):
        giving("prepare_request", lambda request: replace(request, **changes)).prepared(ASKED)


@pytest.mark.parametrize(
    "headers",
    [
        "ab",
        {"ab": "cd"},
        5,
        (HOST, ("a", None)),
        (HOST, ("a b", "c")),
        (HOST, ("a", "b\nc")),
        (HOST, ("a", "half a character: \ud83d")),
        (("Host", "evil.test"),),
    ],
    ids=repr,
)
def test_headers_that_cannot_be_sent(headers: object) -> None:
    with pytest.raises(HookFailed, match="the hook sign_request of acme failed"):
        giving("sign_request", lambda _: headers).signed(UNSIGNED, "key")


def test_a_header_of_the_client_that_is_no_utf_8_stays() -> None:
    signed = giving("sign_request", lambda request: [*request.headers, ("x-key", "é")])
    assert signed.signed(UNSIGNED, "key") == (*UNSIGNED.headers, ("x-key", "é"))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 200},
        {"status": 0},
        {"status": "400"},
        {"status": True},
        {"headers": None},
        {"headers": (("retry-after", "1\r\nx: y"),)},
        {"body": "{}"},
        {"body": None},
        {"reason": None},
        {"reason": "a\r\nb: c"},
    ],
    ids=repr,
)
def test_an_answer_that_is_no_error(changes: dict[str, Any]) -> None:
    called = giving("read_error", lambda answer: replace(answer, **changes))
    assert called.error(ANSWER) is ANSWER
    assert "read_error" in called.failures


@pytest.mark.parametrize("status", [429, 400, 503])
def test_an_answer_of_another_error_status(status: int) -> None:
    called = giving("read_error", lambda answer: replace(answer, status=status, reason=""))
    assert called.error(ANSWER) == replace(ANSWER, status=status, reason="")


@pytest.mark.parametrize(
    "usage",
    [
        (1, 2),
        Usage("5"),  # type: ignore[arg-type]  # as code of others may give it
        Usage(-1),
        Usage(1.5),  # type: ignore[arg-type]
        Usage(True),
        Usage(cost=float("nan")),
        Usage(cost="1"),  # type: ignore[arg-type]
        Usage(cost=-1),
    ],
    ids=repr,
)
def test_usage_that_cannot_be_added_up(usage: object) -> None:
    called = giving("read_usage", lambda _: usage)
    assert called.usage({}) is None
    assert "read_usage" in called.failures


def test_usage_is_what_it_says() -> None:
    usage = Usage(1, 2, cost=0.5)
    assert giving("read_usage", lambda _: usage).usage({}) == usage


@pytest.mark.parametrize("listing", [None, 5, {"a": Ellipsis}, [Ellipsis], (1,)], ids=repr)
def test_a_list_of_models_that_is_none(listing: object) -> None:
    called, given = giving("list_models", lambda _: listing, Operation.MODELS), {"data": [1]}
    assert called.listing(given) is given
    assert "list_models" in called.failures
