"""Rules as tables: what they may say, and that what is wrong is refused with its place."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.fields.paths import EVERY
from rewrite.fields.rule import (
    MOST_BYTES,
    MOST_VALUES,
    SCOPE,
    TTL,
    Beside,
    Inject,
    Into,
    Mode,
    Place,
    Rule,
    Scope,
    Source,
)
from rewrite.fields.rule_tables import RuleError, parse_place, rule, rules
from tests.rewrite.fields.values import JSON

LEAST = {"name": "state", "source": "response", "path": "a.b", "inject": {"path": "c"}}
SECRET = "sk-live-0123456789abcdef"
JOINED = {**LEAST, "mode": "per_tool_call", "path": "^.x", "inject": {"path": "^.x"}}


def test_what_a_rule_need_not_say() -> None:
    assert rule(LEAST) == Rule(
        name="state",
        source=Source.RESPONSE,
        place=Place(("a", "b")),
        inject=Inject(Into.REQUEST, Place(("c",)), when_missing_only=True, insert=None, as_list=False),
        model="*",
        protocol="*",
        where={},
        mode=Mode.LAST,
        scope=SCOPE,
        ttl=TTL,
        max_values=MOST_VALUES,
        max_bytes=MOST_BYTES,
        persist=False,
    )
    assert frozenset({Scope.PROVIDER, Scope.MODEL, Scope.SESSION}) == SCOPE


def test_all_that_a_rule_may_say() -> None:
    table = {
        "name": "reasoning",
        "match": {"model": "GPT-*", "protocol": "openai_responses"},
        "source": "unified_stream_event",
        "path": "<",
        "where": {"type": "reasoning"},
        "mode": "per_tool_call",
        "scope": ["session", "credential"],
        "inject": {
            "target": "unified_request",
            "path": "^.^",
            "when_missing_only": False,
            "placeholders": ["lost"],
            "insert": "before",
            "as_list": True,
        },
        "ttl": 0,
        "max_values": 2,
        "max_bytes": 3,
        "persist": True,
    }
    assert rule(table) == Rule(
        name="reasoning",
        source=Source.UNIFIED_STREAM_EVENT,
        place=Place(before=True),
        inject=Inject(Into.UNIFIED_REQUEST, Place((), 2), "", False, ("lost",), Beside.BEFORE, True),
        model="gpt-*",
        protocol="openai_responses",
        where={"type": "reasoning"},
        mode=Mode.PER_TOOL_CALL,
        scope=frozenset({Scope.SESSION, Scope.CREDENTIAL}),
        ttl=0.0,
        max_values=2,
        max_bytes=3,
        persist=True,
    )


def test_a_header_is_named() -> None:
    inject = {"target": "headers", "path": "X-Session-Affinity"}
    assert rule({**LEAST, "inject": inject}).inject == Inject(Into.HEADERS, header="x-session-affinity")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("id", Place(("id",))),
        ("^", Place((), 1)),
        ("^.^.a[0]", Place(("a", 0), 2)),
        ("<", Place(before=True)),
        ("<.*", Place((EVERY,), before=True)),
        ('"^"', Place(("^",))),
    ],
)
def test_where_a_path_goes_on_from_a_call(text: str, place: Place) -> None:
    assert parse_place(text, joined=True) == place


@pytest.mark.parametrize(
    ("changed", "loc", "message"),
    [
        ({"name": None}, "name", "is missing"),
        ({"name": "a\nb"}, "name", "must be a name of 1 to 64 printable characters"),
        ({"sauce": 1}, "sauce", "unknown name: did you mean source?"),
        ({"zzz": 1}, "zzz", "unknown name: known are inject, "),
        ({"source": None}, "source", "is missing"),
        ({"source": "answer"}, "source", "must be one of request, response, "),
        ({"source": ["x"]}, "source", "must be one of "),
        ({"mode": "first"}, "mode", "must be one of last, all, "),
        ({"match": {"models": "x"}}, "match.models", "unknown name: did you mean model?"),
        ({"match": {"model": 1}}, "match.model", "must be a glob"),
        ({"match": []}, "match", "must be a table"),
        ({"path": "a..b"}, "path", "character 3 is '.', expected a key"),
        ({"path": "^.a"}, "path", 'may begin with ^ only where mode = "per_tool_call"'),
        ({"path": 3}, "path", "must be a text"),
        ({"where": "x"}, "where", "must be a table"),
        ({"scope": []}, "scope", "must be a list of some of provider, "),
        ({"scope": ["user"]}, "scope", "must be a list of some of provider, "),
        ({"scope": [{}]}, "scope", "must be a list of some of provider, "),
        ({"ttl": -1}, "ttl", "must be a number of seconds, at least 0"),
        ({"ttl": float("inf")}, "ttl", "must be a number of seconds"),
        ({"ttl": 10**400}, "ttl", "must be a number of seconds"),
        ({"max_values": 0}, "max_values", "must be a whole number above 0"),
        ({"max_bytes": True}, "max_bytes", "must be a whole number above 0"),
        ({"persist": 1}, "persist", "must be true or false"),
        ({"inject": None}, "inject", "is missing"),
        ({"inject": {}}, "inject.path", "is missing"),
        ({"inject": {"path": "a", "into": "b"}}, "inject.into", "unknown name"),
        ({"inject": {"path": "a.*"}}, "inject.path", "must name one place: * and <"),
        ({"inject": {"path": "a[x]"}}, "inject.path", "character 3 is 'x', expected a number and ]"),
        ({"inject": {"path": "a", "target": "body"}}, "inject.target", "must be one of request, "),
        ({"inject": {"path": "a", "placeholders": "x"}}, "inject.placeholders", "must be a list of texts"),
        ({"inject": {"path": "a", "placeholders": [3]}}, "inject.placeholders", "must be a text"),
        ({"inject": {"path": "a", "insert": "before"}}, "inject.insert", "must be a number: "),
        ({"inject": {"path": "a", "insert": True}}, "inject.insert", 'must be "before", "after" or'),
        ({"inject": {"path": "x: y", "target": "headers"}}, "inject.path", "must be the name of a header"),
        (
            {"inject": {"path": "a", "target": "headers", "as_list": True}},
            "inject.as_list",
            "is not for a header",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(changed: dict[str, Any], loc: str, message: str) -> None:
    with pytest.raises(RuleError) as raised:
        rule({**LEAST, **changed})
    assert ".".join(raised.value.loc) == loc
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("inject", "loc", "message"),
    [
        ({"path": "^"}, "path", "must name a field"),
        ({"path": "<.a"}, "path", "must name one place"),
        ({"path": "^.a", "insert": "after"}, "path", "must be the object that values are put beside"),
        ({"path": "^x"}, "path", "character 2 is 'x', expected a dot"),
        ({"path": "^.^."}, "path", "character 5 is its end"),
        ({"path": "x-a", "target": "headers"}, "target", "must be a body"),
    ],
)
def test_what_is_wrong_beside_a_call_is_refused(inject: dict[str, Any], loc: str, message: str) -> None:
    with pytest.raises(RuleError) as raised:
        rule({**JOINED, "inject": inject})
    assert raised.value.loc == ("inject", loc)
    assert message in raised.value.message


@pytest.mark.parametrize(
    "name",
    """
    Authorization Proxy-Authorization Cookie X-Api-Key api-key X-Goog-Api-Key X-Auth-Token Host Content-Length
    Transfer-Encoding Connection TE Trailer Upgrade Expect Content-Type Sec-Fetch-Site x-amz-security-token
    """.split(),
)
def test_a_header_with_a_credential_or_of_the_message_is_refused(name: str) -> None:
    with pytest.raises(RuleError, match="must not be a header that carries a credential"):
        rule({**LEAST, "inject": {"target": "headers", "path": name}})


def test_a_rule_of_several_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"^\[1\]\.inject\.path: is missing$"):
        rules([LEAST, {**LEAST, "inject": {}}])
    with pytest.raises(ValueError, match=r"^\[1\]\.name: is the name of another rule$"):
        rules([LEAST, LEAST])


@pytest.mark.parametrize("key", ["source", "mode", "scope", "ttl", "inject", "match", "max_values"])
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"path": [SECRET]}])
def test_no_value_is_repeated(key: str, value: object) -> None:
    with pytest.raises(RuleError) as raised:
        rule({**LEAST, key: value})
    assert SECRET not in str(raised.value)


@given(st.dictionaries(st.sampled_from([*LEAST, "match", "mode", "scope", "where", "ttl"]), JSON))
def test_any_table_is_a_rule_or_a_rule_error(table: dict[str, Any]) -> None:
    for whole in (table, {**LEAST, **table}, {**LEAST, "inject": table}):
        with suppress(RuleError):
            rule(whole)
