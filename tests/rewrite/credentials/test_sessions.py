"""Which conversation a call belongs to, and which credential it stays on."""

from dataclasses import replace

from protocols.model.call import Call, Operation
from rewrite.credentials.sessions import Sessions, with_session

CALL = Call("call", "openai_chat", Operation.GENERATE, "model", True, (("Session-ID", "from-header"),))


def test_the_clients_header_names_the_conversation() -> None:
    named = replace(CALL, session="from-body", body={"previous_response_id": "r1"})
    assert with_session(named, "session-id").session == "from-header"


def test_else_the_protocols_own_field_does() -> None:
    named = replace(CALL, session="from-body", body={"previous_response_id": "r1"})
    assert with_session(named, "").session == with_session(named, "x-other").session == "from-body"


def test_else_the_previous_response_does() -> None:
    assert with_session(replace(CALL, body={"previous_response_id": "r1"}), "").session == "r1"


def test_else_there_is_none() -> None:
    assert with_session(CALL, "").session is None


def test_a_conversation_stays_on_the_credential_that_last_served_it() -> None:
    sessions = Sessions()
    sessions.served("vendor", "s", "a")
    sessions.served("vendor", "s", "b")
    sessions.served("other", "s", "c")
    assert sessions.credential("vendor", "s") == "b"
    assert sessions.credential("other", "s") == "c"
    assert sessions.credential("vendor", "t") is None


def test_calls_of_no_conversation_are_not_remembered() -> None:
    sessions = Sessions()
    sessions.served("vendor", None, "a")
    assert sessions.credential("vendor", None) is None


def test_the_least_recently_served_conversation_is_forgotten_first() -> None:
    sessions = Sessions(longest=2)
    for session in ("s", "t", "s", "u"):
        sessions.served("vendor", session, "a")
    assert [sessions.credential("vendor", each) for each in "stu"] == ["a", None, "a"]
