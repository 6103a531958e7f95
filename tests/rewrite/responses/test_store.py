"""Kept responses: what is kept of a call, how it continues a conversation, what is let go."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    Signature,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, dump, load_object
from protocols.shared.signatures import is_envelope, unwrapped
from rewrite.responses.store import (
    Bounds,
    Entry,
    Stored,
    as_mapping,
    as_shown,
    evicted,
    expanded,
    expired,
    from_mapping,
    gap,
    input_items,
    is_kept,
    is_ours,
    is_reference,
    lineage,
    listed,
    replayed,
    resolved,
    scope_of,
    sized,
)


def response_id(number: int) -> str:
    return f"resp_rot{number:024x}"


def item_id(number: int, at: int = 0, kind: str = "msg") -> str:
    return f"{kind}_rot{number:024x}_{at}"


def said(number: int, text: str) -> JsonObject:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": item_id(number), "type": "message", "role": "assistant", "content": content}


def stored(number: int, previous: int | None, asked: str, *output: JsonObject) -> Stored:
    name = response_id(number)
    return Stored(
        id=name,
        scope="client-openai",
        previous=None if previous is None else response_id(previous),
        model="gpt-5",
        provider="anthropic",
        input_items=input_items({"input": asked}, name.removeprefix("resp_")),
        response={"id": name, "status": "completed", "output": list(output)},
        created=100.0 + number,
    )


def kept(*responses: Stored) -> Mapping[str, Stored]:
    return {one.id: one for one in responses}


def texts_of(items: Sequence[object]) -> list[str]:
    """The texts of messages in order."""
    return [part["text"] for item in items if isinstance(item, dict) for part in item.get("content", ())]


# -- ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (response_id(1), True),
        ("resp_68c1fa3a3a3c8197a5b3d9a5e1a5b3d9", False),
        ("resp_rot", False),
        (response_id(1) + "0", False),
        (response_id(1) + "\n", False),
        ("resp_rot../../../../etc/passwd00", False),
        ("", False),
    ],
)
def test_ids_of_ours_are_known_by_their_form(name: str, ours: bool) -> None:
    assert is_ours(name) is ours


def test_a_scope_is_a_credential_at_a_provider() -> None:
    scopes = {scope_of(who, where) for who in ("abc", "def", None) for where in ("openai", "azure")}
    assert len(scopes) == 6
    assert scope_of(None, "openai") == "anonymous-openai"


# -- what is kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "end", "expected"),
    [
        ({}, "completed", True),
        ({"store": True}, "completed", True),
        ({"store": None}, "completed", True),
        ({"store": False}, "completed", False),
        ({}, "truncated", True),
        ({}, "failed", False),
        ({}, "error", False),
        ({}, "rejected", False),
        ({}, "abandoned", False),
    ],
)
def test_what_ended_is_kept_unless_the_client_says_no(body: JsonObject, end: str, expected: bool) -> None:
    assert is_kept(body, end) is expected


def test_text_becomes_a_message_with_an_id() -> None:
    (item,) = input_items({"input": "Hi"}, "rot1")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hi"}],
        "id": "msg_rot1_i0",
    }


def test_items_keep_their_ids_and_get_those_they_lack() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "3"}
    mine = {"id": "msg_mine", "role": "assistant", "content": "Hello"}
    items = input_items({"input": [mine, call, result, {"type": "new_kind"}]}, "rot1")
    assert [item["id"] for item in items] == ["msg_mine", "fc_rot1_i1", "fco_rot1_i2", "item_rot1_i3"]
    assert items[0]["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
    assert items[1] == {**call, "id": "fc_rot1_i1"}
    assert input_items({}, "rot1") == ()


def progress_of(*, finished: bool) -> Progress:
    progress = Progress()
    progress.fold(
        [
            ChoiceStart(0),
            BlockStart(0, 0, BlockKind.REASONING),
            BlockStop(0, 0, Signature("signature", "abc")),
            BlockStart(0, 1, BlockKind.TEXT),
            BlockDelta(0, 1, BlockKind.TEXT, "Hel"),
        ]
    )
    if finished:
        progress.fold([BlockStop(0, 1), Finish(0, FinishReason.STOP, "end_turn")])
    return progress


def test_signatures_are_kept_as_the_client_got_them() -> None:
    progress = progress_of(finished=True)
    stop = as_shown(progress, "anthropic", "completed").blocks[0, 0].stop
    assert stop is not None
    assert stop.signature is not None
    assert is_envelope(stop.signature.value)
    assert unwrapped(stop.signature.value) == ("anthropic", Signature("signature", "abc"))
    assert progress.blocks[0, 0].stop == BlockStop(0, 0, Signature("signature", "abc"))


def test_a_cut_answer_is_kept_as_it_was_closed() -> None:
    progress = progress_of(finished=False)
    shown = as_shown(progress, "anthropic", "truncated")
    assert shown.finished[0].reason is FinishReason.LENGTH
    assert shown.ended
    assert not progress.finished
    assert not progress.ended
    assert (0, 1) in progress.open


# -- a conversation continues -----------------------------------------------------------------------------

FIRST = stored(1, None, "one", said(1, "first"))
SECOND = stored(2, 1, "two", said(2, "second"))
THIRD = stored(3, 2, "three", said(3, "third"))


def test_a_lineage_is_oldest_first() -> None:
    assert lineage(THIRD.id, kept(THIRD, FIRST, SECOND).get) == (FIRST, SECOND, THIRD)
    assert lineage(FIRST.id, kept(FIRST).get) == (FIRST,)


def test_a_lineage_with_a_gap_is_none() -> None:
    assert lineage(THIRD.id, kept(THIRD, FIRST).get) is None
    assert lineage(response_id(9), kept(FIRST).get) is None
    assert gap(THIRD.id, kept(THIRD, FIRST).get) == SECOND.id
    assert gap(THIRD.id, kept(THIRD, FIRST, SECOND).get) == ""


def test_a_lineage_that_comes_back_to_itself_is_none() -> None:
    assert lineage(SECOND.id, kept(replace(FIRST, previous=SECOND.id), SECOND).get) is None


def test_the_lineage_stands_before_the_calls_own_input() -> None:
    body = {"model": "m", "previous_response_id": SECOND.id, "input": "now", "instructions": "brief"}
    went = expanded(body, (FIRST, SECOND))
    items = went["input"]
    assert isinstance(items, list)
    assert texts_of(items[:-1]) == ["one", "first", "two", "second"]
    assert items[-1] == {"type": "message", "role": "user", "content": "now"}
    assert {name: went[name] for name in went if name != "input"} == {"model": "m", "instructions": "brief"}
    assert body["previous_response_id"] == SECOND.id


def test_without_instructions_none_are_inherited() -> None:
    first = replace(FIRST, response={**FIRST.response, "instructions": "be a pirate"})
    assert "instructions" not in expanded({"previous_response_id": first.id, "input": "now"}, (first,))


@pytest.mark.parametrize("given_input", [{}, {"input": None}, {"input": []}])
def test_a_call_may_add_nothing(given_input: JsonObject) -> None:
    items = expanded({"previous_response_id": FIRST.id, **given_input}, (FIRST,))["input"]
    assert isinstance(items, list)
    assert texts_of(items) == ["one", "first"]


def test_ids_of_ours_are_not_sent_and_others_are() -> None:
    mine = {"id": "msg_mine", "type": "message", "role": "user", "content": []}
    items = replayed([*FIRST.input_items, *FIRST.output, mine])
    assert [item.get("id") for item in items if isinstance(item, dict)] == [None, None, "msg_mine"]


def test_reasoning_is_sent_again_only_where_it_is_sealed() -> None:
    bare = {"id": item_id(1, 0, "rs"), "type": "reasoning", "summary": []}
    signed = {"id": item_id(1, 1, "rs"), "type": "reasoning", "summary": [], "encrypted_content": "x"}
    theirs = {"id": "rs_abc", "type": "reasoning", "summary": []}
    assert replayed([bare, signed, theirs]) == [
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        theirs,
    ]


CUT = {
    "id": item_id(1, 0, "fc"),
    "type": "function_call",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":',
    "status": "incomplete",
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "3"}


def test_calls_go_with_their_results_and_cut_ones_without_are_left_out() -> None:
    whole = {**CUT, "arguments": "{}", "status": "completed"}
    assert [item["type"] for item in replayed([whole, RESULT]) if isinstance(item, dict)] == [
        "function_call",
        "function_call_output",
    ]
    assert replayed([CUT]) == []
    assert len(replayed([CUT, RESULT])) == 2
    assert len(replayed([whole])) == 1


def test_what_is_no_item_is_the_providers_to_refuse() -> None:
    assert replayed([1, "x", None]) == [1, "x", None]


def test_what_is_listed_is_what_the_response_was_made_from() -> None:
    assert texts_of(listed((FIRST, SECOND))) == ["one", "first", "two"]
    assert all(item["id"] for item in listed((FIRST, SECOND)))
    assert listed(()) == []


# -- references -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "item_reference", "id": item_id(1)}, True),
        ({"id": item_id(1)}, True),
        ({"type": "item_reference", "id": "msg_rot" + f"{1:024x}" + "_i0"}, True),
        ({"type": "item_reference", "id": "msg_68c1fa3a"}, False),
        (said(1, "x"), False),
        ("text", False),
    ],
)
def test_references_to_items_of_ours(item: object, expected: bool) -> None:
    assert is_reference(item) is expected


def test_references_give_way_to_their_items() -> None:
    references = [
        {"type": "item_reference", "id": FIRST.input_items[0]["id"]},
        {"type": "item_reference", "id": item_id(1)},
        {"role": "user", "content": "now"},
    ]
    body, unknown = resolved({"input": references}, kept(FIRST).get)
    assert unknown is None
    assert body["input"] == [FIRST.input_items[0], FIRST.output[0], references[2]]


def test_a_reference_to_nothing_is_reported() -> None:
    for lost in (item_id(1, 7), item_id(9)):
        items = [{"type": "item_reference", "id": item_id(1)}, {"type": "item_reference", "id": lost}]
        assert resolved({"input": items}, kept(FIRST).get)[1] == lost


@pytest.mark.parametrize("body", [{}, {"input": "Hi"}, {"input": [{"role": "user", "content": "Hi"}]}])
def test_without_references_the_body_is_the_same(body: JsonObject) -> None:
    assert resolved(body, kept().get) == (body, None)
    assert resolved(body, kept().get)[0] is body


# -- written down -----------------------------------------------------------------------------------------


def test_what_is_written_can_be_read() -> None:
    one = sized(SECOND)
    data = dump(as_mapping(one))
    assert one.size == len(data)
    assert from_mapping(load_object(data) or {}, len(data)) == one


@pytest.mark.parametrize(
    "change",
    [
        {"form": 2},
        {"input_items": None},
        {"previous": 3},
        {"created": "now"},
        {"response": {}},
    ],
)
def test_what_is_not_whole_is_none(change: JsonObject) -> None:
    assert from_mapping({**(load_object(dump(as_mapping(FIRST))) or {}), **change}, 1) is None
    assert from_mapping({}, 1) is None


# -- let go -----------------------------------------------------------------------------------------------


def entry(number: int, scope: str = "a", size: int = 10, used: float | None = None) -> Entry:
    return Entry(scope, response_id(number), float(number), size, float(number) if used is None else used)


def gone(entries: Sequence[Entry], bounds: Bounds, now: float = 100.0) -> list[str]:
    return sorted(one.id for one in evicted(entries, bounds, now))


def test_what_is_too_old_goes() -> None:
    entries = [entry(1), entry(50), entry(90)]
    assert gone(entries, Bounds(ttl=50.0)) == [response_id(1), response_id(50)]
    assert expired(entries[1], Bounds(ttl=50.0), 100.0)
    assert not expired(entries[1], Bounds(ttl=50.0), 99.9)


def test_what_was_used_longest_ago_goes_where_there_is_too_much() -> None:
    entries = [entry(1, used=99.0), entry(2), entry(3)]
    assert gone(entries, Bounds(ttl=1e9, max_bytes=20)) == [response_id(2)]


def test_each_scope_has_a_count_of_its_own() -> None:
    entries = [entry(1), entry(2), entry(3), entry(4, "b")]
    assert gone(entries, Bounds(ttl=1e9, max_count=2)) == [response_id(1)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40), st.integers(0, 100)), max_size=30))
def test_what_stays_is_within_the_bounds(drawn: list[tuple[str, int, int]]) -> None:
    entries = [entry(number, scope, size, used) for number, (scope, size, used) in enumerate(drawn)]
    bounds = Bounds(ttl=95.0, max_bytes=200, max_count=5)
    out = evicted(entries, bounds, 100.0)
    left = [one for one in entries if one not in out]
    assert sum(one.size for one in left) <= 200
    assert all(sum(one.scope == scope for one in left) <= 5 for scope in "ab")
    assert all(one.created > 5.0 for one in left)
    if out and len(entries) <= 5 and sum(one.size for one in entries) <= 200:
        assert all(one.created <= 5.0 for one in out)
