"""Responses that we keep in a provider's place: conversations, look-ups, deletions, in OpenAI's words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.credentials.carriers import ClientCredential, take_out
from addons.responses.kept import Missing, Responses, Turn, not_to_be_kept, unknown_elsewhere
from addons.responses.storage import Memory, StateError, Storage
from protocols.base import WireProtocol, editor_of
from protocols.model.call import Call, Destination, Operation, Reply
from protocols.model.errors import Untranslatable
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, dump, load_object, object_at, objects_at, text_at
from protocols.registry import discover
from protocols.shared.signatures import Returning
from rewrite.responses.store import Bounds, Stored
from rewrite.targets.reading import Reading
from rewrite.translation.translate import Translation, translation
from rewrite.values.events import Summary
from tests.rewrite.scenes import own

REGISTRY = discover()
RESPONSES = REGISTRY["openai_responses"]
SCOPE, OTHER = "0a1b2c3d4e5f-openai", "anonymous-openai"
SIGNATURE = "c2lnbmVk"
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


def name(number: int) -> str:
    return f"resp_rot{number:024x}"


def call_of(body: JsonObject, operation: Operation = Operation.GENERATE) -> Call:
    request = WireRequest("POST", "/v1/responses", (), dump({"model": "gpt-5", **body}))
    return RESPONSES.parse("call", operation, request)


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + dump({"type": kind, **fields}) + b"\n\n"


def block(index: int, start: JsonObject, *deltas: JsonObject) -> bytes:
    return b"".join(
        (
            event("content_block_start", index=index, content_block=start),
            *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
            event("content_block_stop", index=index),
        )
    )


def thought(index: int) -> bytes:
    return block(
        index,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": SIGNATURE},
    )


def text(index: int, *pieces: str) -> bytes:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def used(index: int, arguments: str) -> bytes:
    start = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
    return block(index, start, {"type": "input_json_delta", "partial_json": arguments})


BEGIN = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    },
)


def end(reason: str = "end_turn") -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event("message_delta", delta=delta, usage={"output_tokens": 5}) + event("message_stop")


def translated(call: Call, number: int) -> Translation:
    reply = Reply(f"rot{number:024x}", "gpt-5", 1_700_000_000)
    target = Destination("anthropic", "claude-sonnet-4-5", thinking="budget")
    return translation(call, RESPONSES, REGISTRY["anthropic_messages"], target, reply)


def read(found: Translation, data: bytes) -> tuple[bytes, Reading]:
    """The client's bytes of an answer, and its reading."""
    target = own(found.upstream, found.target, translation=found)
    reading = target.reading(Head(200, (("content-type", "text/event-stream"),)))
    segments = [*reading.feed(data), *reading.eof()]
    sent = reading.pass_on(segments)
    reading.settle()
    return sent, reading


def summary(progress: Progress, ended: str = "completed") -> Summary:
    return Summary(ended, "", (), progress, 0.0, 1.0, status=200)


class Client:
    """One credential's calls, all answered by Anthropic in place of OpenAI."""

    def __init__(self, responses: Responses, scope: str = SCOPE) -> None:
        self.responses, self.scope, self.number = responses, scope, 0

    def ask(
        self, body: JsonObject, answer: bytes, ended: str = "completed", secrets: Sequence[str] = ()
    ) -> Translation:
        """Make one call to its end; how it was translated."""
        turn = self.turn(body)
        self.number += 1
        found = translated(turn.call, self.number)
        _, reading = read(found, answer)
        hidden = [SecretStr(secret) for secret in secrets]
        self.responses.keep(turn, found, summary(reading.progress, ended), hidden)
        return found

    def turn(self, body: JsonObject) -> Turn:
        turn = self.responses.turn(call_of({"stream": True, **body}), self.scope)
        assert isinstance(turn, Turn)
        return turn

    def look(self, path: str, method: str = "GET") -> WireResponse:
        answer = self.responses.answer(method, f"/v1/responses/{path}", self.scope)
        assert answer is not None
        return answer

    def get(self, path: str) -> JsonObject:
        answer = self.look(path)
        assert answer.status == 200
        return load_object(answer.body) or {}


@pytest.fixture
def client() -> Client:
    return Client(Responses(Storage(Memory(), lambda: 1_000.0), lambda: 1_000.0))


def messages(found: Translation) -> list[JsonObject]:
    return objects_at(found.rendered.body, "messages")


def said(found: Translation) -> list[tuple[str, str]]:
    """What Anthropic is sent, as roles and texts."""
    return [
        (text_at(one, "role"), text_at(part, "text") or text_at(part, "type"))
        for one in messages(found)
        for part in (objects_at(one, "content") or [{"type": "text", "text": text_at(one, "content")}])
    ]


def error_of(answer: WireResponse) -> JsonObject:
    return object_at(load_object(answer.body) or {}, "error")


# -- kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_kept_is_what_the_client_was_given(client: Client, stream: bool) -> None:
    turn = client.turn({"input": "Hi", "stream": stream})
    found = translated(turn.call, 1)
    raw, reading = read(found, BEGIN + thought(0) + text(1, "Hel", "lo") + end())
    client.responses.keep(turn, found, summary(reading.progress), ())
    last = raw.rstrip().rpartition(b"data: ")[2]
    given = object_at(load_object(last) or {}, "response") if stream else load_object(last)
    kept = client.get(name(1))
    assert given
    for field in ("id", "model", "created_at", "status", "output", "usage"):
        assert kept[field] == given[field]
    assert [item["type"] for item in objects_at(kept, "output")] == ["reasoning", "message"]
    assert (kept["store"], kept["previous_response_id"]) == (True, None)


def test_the_model_that_served_is_kept_where_the_client_sees_it(client: Client) -> None:
    turn = client.turn({"input": "Hi", "stream": True})
    found = translated(turn.call, 1)
    found = replace(found, reply=replace(found.reply, model=""))
    raw, reading = read(found, BEGIN + text(0, "Hello") + end())
    client.responses.keep(turn, found, summary(reading.progress), ())
    given = object_at(load_object(raw.rstrip().rpartition(b"data: ")[2]) or {}, "response")
    assert given["model"]
    assert client.get(name(1))["model"] == given["model"]


def test_a_cut_answer_is_kept_as_incomplete(client: Client) -> None:
    cut = BEGIN + text(0, "Hel").removesuffix(event("content_block_stop", index=0))
    client.ask({"input": "Hi"}, cut, "truncated")
    kept = client.get(name(1))
    assert kept["status"] == "incomplete"
    assert kept["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in objects_at(kept, "output")] == ["incomplete"]


@pytest.mark.parametrize("ended", ["failed", "error", "rejected", "abandoned"])
def test_what_came_to_no_end_is_not_kept(client: Client, ended: str) -> None:
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hel"), ended)
    assert client.look(name(1)).status == 404


def test_a_client_may_ask_for_nothing_to_be_kept(client: Client) -> None:
    client.ask({"input": "Hi", "store": False}, BEGIN + text(0, "Hello") + end())
    assert client.look(name(1)).status == 404


def test_a_call_in_the_clients_own_protocol_is_the_providers_to_keep(client: Client) -> None:
    turn = client.turn({"input": "Hi"})
    client.responses.keep(turn, None, summary(Progress()), ())
    assert client.look(name(1)).status == 404


def test_keeping_twice_keeps_one() -> None:
    class Counting(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.ids: set[str] = set()

        def write(self, stored: Stored) -> bool:
            self.ids.add(stored.id)
            return super().write(stored)

    memory = Counting()
    client = Client(Responses(Storage(memory, lambda: 1.0), lambda: 1.0))
    turn = client.turn({"input": "Hi"})
    found = translated(turn.call, 1)
    _, reading = read(found, BEGIN + text(0, "Hello") + end())
    for _ in range(2):
        client.responses.keep(turn, found, summary(reading.progress), ())
    assert memory.ids == {name(1)}


def test_a_key_that_a_provider_echoes_is_not_kept(client: Client) -> None:
    key = "sk-pool-0123456789abcdef"
    client.ask({"input": f"is it {key}?"}, BEGIN + text(0, f"yes: {key}") + end(), secrets=[key])
    kept = dump([client.get(name(1)), client.get(f"{name(1)}/input_items")])
    assert key.encode() not in kept
    assert kept.count(b"*" * len(key)) == 2


def test_another_place_to_keep_them_holds_at_once(client: Client, tmp_path: Path) -> None:
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hello") + end())
    client.responses.configure("", Bounds())
    assert client.look(name(1)).status == 200
    client.responses.configure(str(tmp_path), Bounds())
    assert client.look(name(1)).status == 404
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hello") + end())
    assert [file.stem for file in tmp_path.rglob("*.json")] == [name(2)]
    with pytest.raises(StateError):
        client.responses.configure(str(next(tmp_path.rglob("*.json"))), Bounds())
    assert client.look(name(2)).status == 200
    client.responses.configure(str(tmp_path), Bounds(max_count=0))
    assert list(tmp_path.rglob("*.json")) == []


def test_short_keys_of_clients_may_be_words() -> None:
    def own(value: str) -> ClientCredential | None:
        return take_out((("authorization", f"Bearer {value}"),), "/")[2]

    pool = [SecretStr("pool")]
    assert not_to_be_kept(pool, own("dummy")) == pool
    assert len(not_to_be_kept(pool, own("sk-0123456789abcdef"))) == 2
    assert not_to_be_kept(pool, None) == pool


# -- continued --------------------------------------------------------------------------------------------


def test_a_conversation_continues_from_the_store(client: Client) -> None:
    client.ask({"input": "one", "instructions": "be brief"}, BEGIN + text(0, "first") + end())
    client.ask({"input": "two", "previous_response_id": name(1)}, BEGIN + text(0, "second") + end())
    third = client.ask({"input": "three", "previous_response_id": name(2)}, BEGIN + text(0, "x") + end())
    assert said(third) == [
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two"),
        ("assistant", "second"),
        ("user", "three"),
    ]
    assert "be brief" not in str(third.rendered.body)
    assert client.get(name(3))["previous_response_id"] == name(2)


def test_calls_go_with_their_results(client: Client) -> None:
    client.ask({"input": "1+2?", "tools": [TOOL]}, BEGIN + used(0, '{"a":1}') + end("tool_use"))
    call = objects_at(client.get(name(1)), "output")[0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "3"}
    body = {"input": [result], "tools": [TOOL], "previous_response_id": name(1)}
    second = client.ask(body, BEGIN + text(0, "3") + end())
    kinds = [[part["type"] for part in objects_at(one, "content")] for one in messages(second)]
    assert kinds == [["text"], ["tool_use"], ["tool_result"]]
    asked, given = (objects_at(messages(second)[at], "content")[0] for at in (1, 2))
    assert asked["id"] == given["tool_use_id"]
    assert asked["input"] == {"a": 1}


def test_reasoning_goes_back_to_its_maker_and_to_nobody_else(client: Client) -> None:
    client.ask({"input": "Hi"}, BEGIN + thought(0) + text(1, "Hello") + end())
    turn = client.turn({"input": "more", "previous_response_id": name(1)})
    reasoning = {"reasoning": {"effort": "high"}}
    call = call_of({**turn.call.body, **reasoning})
    assert SIGNATURE in str(translated(call, 2).rendered.body)
    elsewhere = Destination("deepseek", "deepseek-chat")
    reply = Reply("rot", "gpt-5", 1)
    asked = translation(call, RESPONSES, REGISTRY["openai_chat"], elsewhere, reply)
    assert SIGNATURE not in str(asked.rendered.body)
    assert "Hello" in str(asked.rendered.body)
    own = editor_of(RESPONSES).own_signatures(turn.call.body, Returning("own", native=True))
    assert [item.get("type") for item in objects_at(own, "input")] == ["message", "message", "message"]


def test_a_provider_of_responses_is_given_the_conversation_too(client: Client) -> None:
    """It knows no id of ours, neither that of the response nor those of its items."""
    client.ask({"input": "one"}, BEGIN + text(0, "first") + end())
    turn = client.turn({"input": "two", "previous_response_id": name(1), "metadata": {"a": "b"}})
    assert turn.changed
    assert turn.previous == name(1)
    assert b"_rot" not in dump(turn.call.body)
    assert turn.call.body["metadata"] == {"a": "b"}
    assert turn.call.session == name(1)
    assert turn.call.text_bytes > call_of({"input": "two"}).text_bytes


def test_a_conversation_is_known_by_its_first_response(client: Client) -> None:
    client.ask({"input": "one"}, BEGIN + text(0, "first") + end())
    client.ask({"input": "two", "previous_response_id": name(1)}, BEGIN + text(0, "second") + end())
    body = {"input": "three", "previous_response_id": name(2)}
    assert client.turn(body).call.session == name(1)
    assert client.turn({**body, "prompt_cache_key": "mine"}).call.session == "mine"


def test_items_may_be_referred_to(client: Client) -> None:
    client.ask({"input": "one"}, BEGIN + text(0, "first") + end())
    item = objects_at(client.get(name(1)), "output")[0]
    user = {"role": "user", "content": "two"}
    body = {"input": [{"role": "user", "content": "one"}, {"type": "item_reference", "id": item["id"]}, user]}
    second = client.ask(body, BEGIN + text(0, "second") + end())
    assert said(second) == [("user", "one"), ("assistant", "first"), ("user", "two")]
    third = client.turn({"input": "three", "previous_response_id": name(2)})
    assert len(objects_at(third.call.body, "input")) == 5


@pytest.mark.parametrize(
    "body",
    [
        {"input": "Hi"},
        {"input": [{"role": "user", "content": "Hi"}], "store": True},
        {"input": "Hi", "previous_response_id": "resp_68c1fa3a3a3c8197"},
        {"input": "Hi", "previous_response_id": None},
        {"input": "Hi", "previous_response_id": name(1), "background": True},
    ],
)
def test_a_call_that_needs_nothing_of_ours_is_as_it_came(client: Client, body: JsonObject) -> None:
    call = call_of(body)
    turn = client.responses.turn(call, SCOPE)
    assert isinstance(turn, Turn)
    assert turn.call is call
    assert not turn.changed


def test_calls_of_other_protocols_are_none_of_this(client: Client) -> None:
    call = Call("c", "openai_chat", Operation.GENERATE, "m", False, (), {"previous_response_id": name(1)})
    turn = client.responses.turn(call, SCOPE)
    assert isinstance(turn, Turn)
    assert turn.call is call


# -- not there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [Operation.GENERATE, Operation.COUNT_TOKENS])
def test_to_continue_from_what_is_unknown_is_refused(client: Client, operation: Operation) -> None:
    missing = client.responses.turn(call_of({"previous_response_id": name(7)}, operation), SCOPE)
    assert isinstance(missing, Missing)
    assert missing.answer.status == missing.fault.status == 400
    assert error_of(missing.answer) == {
        "message": f"Previous response with id '{name(7)}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


def test_to_continue_from_what_was_not_kept_is_refused(client: Client) -> None:
    client.ask({"input": "Hi", "store": False}, BEGIN + text(0, "Hello") + end())
    assert isinstance(client.responses.turn(call_of({"previous_response_id": name(1)}), SCOPE), Missing)


def test_ids_do_not_mix_between_credentials(client: Client) -> None:
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hello") + end())
    other = Client(client.responses, OTHER)
    item = {"type": "item_reference", "id": objects_at(client.get(name(1)), "output")[0]["id"]}
    for body in ({"previous_response_id": name(1)}, {"input": [item]}):
        assert isinstance(client.responses.turn(call_of(body), OTHER), Missing)
    for path in ("", "/input_items"):
        assert other.look(name(1) + path).status == 404
    assert other.look(name(1), "DELETE").status == 404
    assert client.look(name(1)).status == 200


def test_to_refer_to_an_item_that_is_unknown_is_refused(client: Client) -> None:
    item = f"msg_rot{7:024x}_0"
    missing = client.responses.turn(call_of({"input": [{"type": "item_reference", "id": item}]}), SCOPE)
    assert isinstance(missing, Missing)
    assert missing.answer.status == 404
    assert text_at(error_of(missing.answer), "message").startswith(f"Item with id '{item}' not found.")


def test_a_providers_id_is_unknown_to_a_target_of_another_protocol() -> None:
    call = call_of({"input": "Hi", "previous_response_id": "resp_68c1fa3a"})
    with pytest.raises(Untranslatable) as refused:
        translated(call, 1)
    missing = unknown_elsewhere(call, {"anthropic": str(refused.value)})
    assert missing is not None
    assert missing.answer.status == 400
    assert error_of(missing.answer)["code"] == "previous_response_not_found"


def test_other_reasons_are_reported_as_they_are() -> None:
    plain, continued = call_of({"input": "Hi"}), call_of({"previous_response_id": "resp_68c1fa3a"})
    assert unknown_elsewhere(plain, {"anthropic": "tools[0].type: only OpenAI has it"}) is None
    assert unknown_elsewhere(continued, {"anthropic": "providers.anthropic.credentials: none"}) is None


# -- looked up --------------------------------------------------------------------------------------------


def test_an_unknown_response_is_a_404_in_the_providers_words(client: Client) -> None:
    answer = client.look(name(7))
    assert answer.status == 404
    assert ("content-type", "application/json") in answer.headers
    assert error_of(answer) == {
        "message": f"Response with id '{name(7)}' not found.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/responses/resp_68c1fa3a3a3c8197a5b3d9a5e1a5b3d9"),
        ("DELETE", "/v1/responses/resp_68c1fa3a3a3c8197a5b3d9a5e1a5b3d9"),
        ("GET", "/v1/responses/resp_68c1fa3a/input_items?limit=3"),
        ("POST", f"/v1/responses/{name(1)}"),
        ("GET", f"/v1/responses/{name(1)}/else"),
        ("GET", f"/v1/files/{name(1)}"),
        ("GET", f"/v1/files?x=/v1/responses/{name(1)}"),
    ],
)
def test_what_is_not_ours_is_passed_through(client: Client, method: str, target: str) -> None:
    assert client.responses.answer(method, target, SCOPE) is None


@pytest.mark.parametrize("path", ["/v1/", "/", "/openai/v1/", "/openai/", "/backend-api/codex/"])
def test_a_path_may_have_a_front_of_its_own(client: Client, path: str) -> None:
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hello") + end())
    answer = client.responses.answer("GET", f"{path}responses/{name(1)}?api-version=1", SCOPE)
    assert answer is not None
    assert answer.status == 200


def test_what_is_deleted_is_gone_and_so_is_what_came_of_it(client: Client) -> None:
    client.ask({"input": "one"}, BEGIN + text(0, "first") + end())
    client.ask({"input": "two", "previous_response_id": name(1)}, BEGIN + text(0, "second") + end())
    answer = client.look(name(1), "DELETE")
    assert load_object(answer.body) == {"id": name(1), "object": "response", "deleted": True}
    assert client.look(name(1)).status == client.look(name(1), "DELETE").status == 404
    assert isinstance(client.responses.turn(call_of({"previous_response_id": name(2)}), SCOPE), Missing)
    assert client.look(name(2)).status == 200
    assert len(objects_at(client.get(f"{name(2)}/input_items"), "data")) == 1


def test_what_is_done_can_be_neither_cancelled_nor_streamed_again(client: Client) -> None:
    client.ask({"input": "Hi"}, BEGIN + text(0, "Hello") + end())
    assert error_of(client.look(f"{name(1)}/cancel", "POST"))["message"] == (
        "Cannot cancel a synchronous response."
    )
    assert client.look(f"{name(1)}?stream=true").status == 400
    assert client.look(f"{name(1)}?stream=false").status == 200


def ids(page: JsonObject) -> list[str]:
    return [text_at(item, "id") for item in objects_at(page, "data")]


@pytest.fixture
def many(client: Client) -> Client:
    """A client with a response that was made from 25 items."""
    items = [{"id": f"msg_{at}", "role": "user", "content": str(at)} for at in range(25)]
    client.ask({"input": items}, BEGIN + text(0, "Hello") + end())
    return client


def test_items_are_listed_latest_first(many: Client) -> None:
    page = many.get(f"{name(1)}/input_items")
    assert ids(page) == [f"msg_{at}" for at in range(24, 4, -1)]
    assert (page["object"], page["has_more"]) == ("list", True)
    assert (page["first_id"], page["last_id"]) == ("msg_24", "msg_5")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_one_another(many: Client, order: str) -> None:
    listed: list[str] = []
    after, more = "", True
    while more:
        page = many.get(f"{name(1)}/input_items?limit=10&order={order}{after}")
        listed += ids(page)
        after, more = f"&after={page['last_id']}", page["has_more"] is True
    assert listed == sorted(listed, key=lambda one: int(one[4:]), reverse=order == "desc")
    assert len(listed) == 25


def test_pages_go_backwards_as_well(many: Client) -> None:
    page = many.get(f"{name(1)}/input_items?order=asc&before=msg_3")
    assert ids(page) == ["msg_0", "msg_1", "msg_2"]
    assert page["has_more"] is False


def test_nothing_left_is_an_empty_page(many: Client) -> None:
    page = many.get(f"{name(1)}/input_items?order=asc&after=msg_24")
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("order=up", "order"),
        ("after=msg_99", "after"),
        ("before=msg_99", "before"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(many: Client, query: str, param: str) -> None:
    answer = many.look(f"{name(1)}/input_items?{query}")
    assert answer.status == 400
    assert error_of(answer)["param"] == param


def test_items_of_earlier_turns_are_listed_too(client: Client) -> None:
    client.ask({"input": "one"}, BEGIN + text(0, "first") + end())
    client.ask({"input": "two", "previous_response_id": name(1)}, BEGIN + text(0, "second") + end())
    page = client.get(f"{name(2)}/input_items?order=asc")
    assert [objects_at(item, "content")[0]["text"] for item in objects_at(page, "data")] == [
        "one",
        "first",
        "two",
    ]
    assert len(set(ids(page))) == 3


@pytest.mark.parametrize("protocol", list(REGISTRY), ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("path", ["", "/", "/input_items", "/input_items/", "/cancel"])
@pytest.mark.parametrize("prefix", ["", "/v1", "/api/chat", "/v1beta/models", "/openai/deployments/d"])
def test_what_is_asked_about_a_response_of_ours_is_no_operation(
    protocol: WireProtocol, path: str, prefix: str
) -> None:
    """So only what is none is looked up among kept responses."""
    target = f"{prefix}/responses/{name(1)}{path}"
    responses = Responses(Storage(Memory(), lambda: 0.0), lambda: 0.0)
    for method in ("GET", "DELETE", "POST"):
        assert protocol.match(method, target) is None
    answered = [responses.answer(method, target, SCOPE) for method in ("GET", "DELETE", "POST")]
    assert any(answered)
