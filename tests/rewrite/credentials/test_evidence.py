"""What a call says of its conversation."""

import json
from collections.abc import Mapping

import pytest

from addons.config.settings import known_clients
from protocols.model.call import Call, Operation
from protocols.model.http import Headers
from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, Signature, StreamPart
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, load_lazily
from protocols.shared.history import SHORTEST_ID
from rewrite.catalog.clients import UNKNOWN, facts_for
from rewrite.credentials.evidence import (
    SUBSTANTIAL,
    Evidence,
    digest,
    evidence_of,
    hash_of_session,
    session_hash,
    stated_conversation,
)

HI = [{"role": "user", "content": "hi"}]
CLAUDE, CODEX, OPENCODE = "claude-cli/2.1.329 (external)", "codex_exec/0.169.0", "opencode/1.18.33 ai-sdk"

NAMED = ("x-session-id", "a-long-session-of-a-client")


def said(
    body: Mapping[str, object],
    *headers: tuple[str, str],
    program: str = "",
    session: str | None = None,
    operation: Operation = Operation.GENERATE,
    client: str = "client",
) -> Evidence:
    lazy = load_lazily(dump(body))
    assert lazy is not None
    found: Headers = headers
    call = Call("id", "p", operation, "m", True, found, lazy, session=session)
    return evidence_of(call, facts_for(known_clients(), program) if program else UNKNOWN, client)


USER = {
    "device_id": "d",
    "account_uuid": "",
    "session_id": "7a0c3e52-0000-4000-8000-000000000000",
}


@pytest.mark.parametrize(
    ("evidence", "session"),
    [
        (said({"messages": HI}, ("X-Session-Id", "one")), "one"),
        (said({"messages": HI}, ("accept", "*/*"), ("x-session-affinity", "one")), "one"),
        (said({"messages": HI}, ("Conversation_Id", "one")), "one"),
        (said({"messages": HI}, ("X-Claude-Code-Session-Id", "one"), program=CLAUDE), "one"),
        (said({"messages": HI}, ("x-session-id", "other"), ("session-id", "one"), program=CODEX), "one"),
        (said({"messages": HI}, session="cache-key"), "cache-key"),
        (said({"messages": HI}, ("session-id", "one"), session="cache-key"), "one"),
        (said({"messages": HI, "metadata": {"user_id": json.dumps(USER)}}), USER["session_id"]),
        (
            said({"messages": HI, "metadata": {"user_id": "user_0a_account__session_7a0c3e52-00"}}),
            "7a0c3e52-00",
        ),
        (said({"messages": HI, "metadata": {"conversation_id": "one"}}), "one"),
        (said({"messages": HI, "session_id": "one"}), "one"),
    ],
)
def test_a_conversation_is_stated(evidence: Evidence, session: str) -> None:
    whose = "" if session == USER["session_id"] else "client"
    assert evidence.session == digest("session", whose, session)
    assert evidence.is_stated
    assert evidence.history is None


@pytest.mark.parametrize(
    "body",
    [
        {"messages": HI},
        {"messages": HI, "metadata": {"user_id": "user-123"}},
        {"messages": HI, "metadata": {"user_id": '{"session_id": 5}'}},
        {"messages": HI, "metadata": {"user_id": "{"}},
        {"messages": HI, "metadata": "x", "session_id": ["x"]},
    ],
)
def test_who_the_user_is_says_nothing_of_the_conversation(body: Mapping[str, object]) -> None:
    evidence = said(body, ("content-type", "application/json"), ("x-session-id", ""))
    assert evidence.session is None
    assert not evidence.is_stated
    assert evidence.history is not None


def test_short_ids_are_of_one_client() -> None:
    longest = "x" * (SHORTEST_ID - 1)
    for session, same in (("1", False), (longest, False), (longest + "x", True)):
        found = {said({"messages": HI}, ("x-session-id", session), client=each).session for each in "ab"}
        assert len(found) == (1 if same else 2)


def test_nothing_that_a_client_said_is_in_what_is_kept() -> None:
    evidence = said({"messages": HI}, ("x-session-id", "one"))
    assert evidence.session is not None
    assert len(evidence.session) == 16
    assert b"one" not in evidence.session


def test_the_answer_that_is_continued_is_the_strongest() -> None:
    evidence = said({"input": "on", "previous_response_id": "resp_1"})
    assert evidence.answer == digest("answer", "resp_1")
    assert evidence.in_account
    assert evidence.history is None


@pytest.mark.parametrize("field", ["conversation", "cachedContent", "cached_content"])
def test_what_is_kept_in_an_account_is_known(field: str) -> None:
    assert said({"input": "on", field: "x"}).in_account
    assert not said({"input": "on", field: None}).in_account


def test_what_generates_nothing_has_no_history() -> None:
    assert said({"messages": HI}, operation=Operation.COUNT_TOKENS).history is None


# -- agents of one session --------------------------------------------------------------------------------


def test_sub_agents_of_claude_share_its_session() -> None:
    session = ("X-Claude-Code-Session-Id", "one")
    main = said({"messages": HI}, session, program=CLAUDE)
    first = said({"messages": HI}, session, ("x-claude-code-agent-id", "a1"), program=CLAUDE)
    second = said({"messages": HI}, session, ("x-claude-code-agent-id", "a2"), program=CLAUDE)
    assert main.session == first.session == second.session
    assert len({main.agent, first.agent, second.agent}) == 3


def test_threads_of_codex_share_its_session() -> None:
    session = ("session-id", "one")
    main = said({"input": "x"}, session, ("thread-id", "one"), program=CODEX)
    other = said({"input": "x"}, session, ("thread-id", "two"), program=CODEX)
    assert main.session == other.session
    assert main.agent != other.agent


def test_sub_agents_of_opencode_name_the_session_of_their_parent() -> None:
    main = said({"messages": HI}, ("x-session-id", "one"), program=OPENCODE)
    other = said({"messages": HI}, ("x-session-id", "two"), ("x-parent-session-id", "one"), program=OPENCODE)
    assert main.session == other.session
    assert main.agent != other.agent


# -- whose kept fields a call may have -------------------------------------------------------------------


def conversation(
    *headers: tuple[str, str], client: str = "", key: str = "", program: str = ""
) -> bytes | None:
    call = Call("c", "openai_chat", Operation.GENERATE, "m", True, headers, {"messages": HI})
    facts = facts_for(known_clients(), program) if program else UNKNOWN
    return stated_conversation(call, facts, client, key)


def test_a_conversation_has_fields_of_its_own_where_it_is_stated() -> None:
    assert conversation() is None
    assert conversation(NAMED) == conversation(NAMED, client="elsewhere")
    others = conversation(("x-session-id", "another-long-session")), conversation(NAMED, key="k")
    assert len({conversation(NAMED), *others}) == 3
    short = ("x-session-id", "1")
    assert conversation(short, client="a") != conversation(short, client="b")


def test_agents_of_a_session_have_fields_of_their_own() -> None:
    session = ("X-Claude-Code-Session-Id", "one-session-of-claude")
    agents = (("x-claude-code-agent-id", "a1"), ("x-claude-code-agent-id", "a2"))
    found = {conversation(session, *more, program=CLAUDE) for more in ((), *((one,) for one in agents))}
    assert len(found) == 3


# -- what an answer is known by ---------------------------------------------------------------------------


def left(asked: str, answered: str, signature: str = "") -> int:
    """How many marks an answer leaves."""
    parts: list[StreamPart] = [BlockStart(0, 1, BlockKind.TEXT), BlockDelta(0, 1, BlockKind.TEXT, answered)]
    if signature:
        signed = BlockStop(0, 0, Signature("signature", signature))
        parts = [BlockStart(0, 0, BlockKind.REASONING), signed, *parts]
    progress = Progress()
    progress.fold(parts)
    return len([*said({"messages": [{"role": "user", "content": asked}]}).left(progress)])


SHORT, LONG = "x" * (SUBSTANTIAL // 2 - 1), "x" * SUBSTANTIAL


@pytest.mark.parametrize(
    ("asked", "answered", "signature", "marks"),
    [
        ("hi", "", "", 0),
        ("hi", "Fine.", "", 1),  # with the opening
        (SHORT, SHORT + "x", "", 1),
        (SHORT, SHORT + "xx", "", 2),  # both together
        ("hi", LONG, "", 3),  # its text alone, too
        (LONG, "Fine.", "", 3),  # what was asked, too
        ("hi", "", "s" * 40, 1),
        ("hi", "Fine.", "s" * 40, 2),
    ],
)
def test_an_answer_is_known_by_what_is_nobody_else_s(
    asked: str, answered: str, signature: str, marks: int
) -> None:
    assert left(asked, answered, signature) == marks


def test_the_hash_of_a_conversation_that_a_header_names_is_that_of_traces() -> None:
    named = ("X-Claude-Code-Session-Id", USER["session_id"])
    stated = said({"messages": HI}, named, program=CLAUDE).session
    assert stated is not None
    assert session_hash((("accept", "*/*"), named)) == stated.hex() == hash_of_session(USER["session_id"])
    assert session_hash((("accept", "*/*"), ("x-session-id", ""))) == ""
