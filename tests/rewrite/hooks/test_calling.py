"""Hooks are called where a class has them, and fail alone."""

import json
from asyncio import CancelledError
from collections.abc import Mapping
from dataclasses import replace

import pytest

from protocols.model.call import Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import Headers, WireResponse
from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject
from rewrite.hooks.base import POINTS, About, HookError, Hooks, Unsigned
from rewrite.hooks.calling import CallHooks, HookFailed, ProviderHooks, overridden

ABOUT = About("acme", "openai_chat", "m", Operation.GENERATE, True)
ASKED = Rendered("/v1/chat", {"model": "m"})
UNSIGNED = Unsigned("POST", "https://acme.test/v1/chat", (("host", "acme.test"),), b"{}")
ANSWER = WireResponse(400, (), b"{}")


class Raising(Hooks):
    """Everything fails."""

    def check_key(self, key: str) -> None:
        raise RuntimeError(key)

    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        raise RuntimeError("secret")

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        raise RuntimeError(key)

    def read_error(self, answer: WireResponse, about: About) -> WireResponse:
        raise RuntimeError("secret")

    def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
        raise RuntimeError("secret")

    def read_usage(self, part: JsonObject, about: About) -> Usage | None:
        raise RuntimeError("secret")

    def list_models(self, listing: object, about: About) -> object:
        raise RuntimeError("secret")


class Wrong(Hooks):
    """Gives what it must not."""

    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        return replace(request, path="no path")

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        return (("x-signature", "a\r\nhost: evil.test"),)

    def read_error(self, answer: WireResponse, about: About) -> WireResponse:
        return None  # type: ignore[return-value]  # a mistake

    def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
        return {"no": object()}


class Plain:
    """Not derived from ours."""

    def read_usage(self, part: Mapping[str, object], about: About) -> Usage | None:
        return Usage(1, 2)


def hooks(code: Hooks, about: About = ABOUT) -> CallHooks:
    return CallHooks(ProviderHooks("acme", code), about)


def test_every_point_is_known() -> None:
    assert overridden(Raising) == set(POINTS)
    assert overridden(Hooks) == set()
    assert overridden(Plain) == {"read_usage"}


def test_what_is_not_overridden_changes_nothing() -> None:
    none = hooks(Hooks())
    assert none.prepared(ASKED) is ASKED
    assert none.signed(UNSIGNED, "key") is None
    assert none.error(ANSWER) is ANSWER
    assert not none.reads_parts
    assert not none.reads_usage
    assert not ProviderHooks("acme", Hooks()).signs
    assert ProviderHooks("acme", Hooks()).check_key("key") == ""


@pytest.mark.parametrize("code", [Raising(), Wrong()])
def test_a_request_that_cannot_be_made_fails_by_the_hook_s_name(code: Hooks) -> None:
    with pytest.raises(HookFailed, match="the hook prepare_request of acme failed") as unprepared:
        hooks(code).prepared(ASKED)
    with pytest.raises(HookFailed, match="the hook sign_request of acme failed") as unsigned:
        hooks(code).signed(UNSIGNED, "secret")
    assert "secret" not in f"{unprepared.value} {unsigned.value}"


def test_a_request_that_a_provider_cannot_be_asked_is_no_failure() -> None:
    class Refusing(Hooks):
        def prepare_request(self, request: Rendered, about: About) -> Rendered:
            raise Untranslatable("tools", "it has none")

    with pytest.raises(Untranslatable, match="it has none"):
        hooks(Refusing()).prepared(ASKED)


def test_a_hook_says_in_its_own_words_why_it_cannot() -> None:
    class Saying(Hooks):
        def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
            raise HookError("the clock is wrong")

    with pytest.raises(HookFailed, match="the hook sign_request of acme failed: the clock is wrong"):
        hooks(Saying()).signed(UNSIGNED, "key")


def test_a_reader_that_fails_is_called_once_and_gives_what_came() -> None:
    called = hooks(Raising())
    assert called.error(ANSWER) is ANSWER
    part: JsonObject = {"a": 1}
    assert called.part(part) is part
    assert called.part(part) is part
    assert called.usage(part) is None
    assert called.listing([1]) == [1]
    assert sorted(called.failures) == ["list_models", "read_error", "read_part", "read_usage"]
    assert all("RuntimeError in test_calling.py line" in why for why in called.failures.values())
    assert "secret" not in str(called.failures)


def test_a_reader_that_gives_what_it_must_not_fails() -> None:
    called = hooks(Wrong())
    assert called.error(ANSWER) is ANSWER
    assert called.part({"a": 1}) == {"a": 1}
    assert called.failures["read_error"].endswith("it gave NoneType")
    assert "read_part" in called.failures


@pytest.mark.parametrize(
    "raised",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), CancelledError(), StopIteration()],
    ids=repr,
)
def test_what_would_end_the_proxy_ends_the_call_alone(raised: BaseException) -> None:
    class Ending(Hooks):
        def prepare_request(self, request: Rendered, about: About) -> Rendered:
            raise raised

        def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
            raise raised

        def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
            raise raised

        def check_key(self, key: str) -> None:
            raise raised

    called = hooks(Ending())
    with pytest.raises(HookFailed, match=type(raised).__name__):
        called.prepared(ASKED)
    with pytest.raises(HookFailed, match=type(raised).__name__):
        called.signed(UNSIGNED, "key")
    part: JsonObject = {"a": 1}
    assert called.part(part) is part
    assert type(raised).__name__ in called.registered.check_key("key")


def test_what_a_hook_edits_in_place_is_its_own() -> None:
    class Editing(Hooks):
        def prepare_request(self, request: Rendered, about: About) -> Rendered:
            assert isinstance(request.body, dict)
            request.body["messages"].append("added")
            return request

    body = {"messages": ["hi"]}
    assert hooks(Editing()).prepared(Rendered("/v1/chat", body)).body == {"messages": ["hi", "added"]}
    assert body == {"messages": ["hi"]}


def test_the_place_of_a_failure_is_in_the_hook() -> None:
    class Parsing(Hooks):
        def prepare_request(self, request: Rendered, about: About) -> Rendered:
            json.loads("no JSON")
            return request

    with pytest.raises(HookFailed, match=r"JSONDecodeError in test_calling\.py line"):
        hooks(Parsing()).prepared(ASKED)


def test_the_words_of_a_hook_are_few() -> None:
    class Talking(Hooks):
        def prepare_request(self, request: Rendered, about: About) -> Rendered:
            raise HookError("x" * 100_000)

    with pytest.raises(HookFailed) as failed:
        hooks(Talking()).prepared(ASKED)
    assert len(str(failed.value)) < 1100


def test_a_complaint_about_a_key_does_not_quote_it() -> None:
    class Quoting(Hooks):
        def check_key(self, key: str) -> None:
            int(key.partition(":")[2])

    why = ProviderHooks("acme", Quoting()).check_key("id:a-secret")
    assert "ValueError in test_calling.py line" in why
    assert "a-secret" not in why


def test_a_key_is_looked_at() -> None:
    class Checking(Hooks):
        def check_key(self, key: str) -> None:
            raise ValueError("is too old: make another")

    assert ProviderHooks("acme", Checking()).check_key("key") == "is too old: make another"
    assert "RuntimeError" in ProviderHooks("acme", Raising()).check_key("a-secret")
    assert "a-secret" not in ProviderHooks("acme", Raising()).check_key("a-secret")
