"""The fault suite as data: what goes wrong, and what the client has to see of it.

A row is one line of data: its place in the suite, a name, what the provider does, and what comes of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.e2e.suite.voice import (
    COMPLAINT,
    Act,
    altered,
    changed,
    cut,
    cut_in_chunk,
    error_after_text,
    error_in_band,
    healthy,
    interleaved,
    on_two_lines,
    opened,
    other_line_ends,
    refused,
    silent,
    slowed,
    started,
    with_bare_fields,
    with_broken_json,
    with_garbage,
)
from tests.e2e.translation.scenarios import ANSWER, CUT_TEXT, TIME, WEATHER
from tests.vendor import End, Fin, Framing, Hang, Pace, Reset, Tool
from tests.vendor.answers import SEAL
from tests.vendor.speech import Said

SSE = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
PROTOCOLS = (*SSE, "ollama_chat")
SEALING = ("openai_responses", "anthropic_messages", "gemini_generate")
"""The protocols in which reasoning is signed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What comes of a row. Without arguments: a whole answer at the first attempt.

    `text` and `finish` (stop, tools or length; None: no word of it) of the last turn; `error`: a part of what
    the SDK raises, its type and status included, "" for nothing; `keys`: of the pool, by attempt; `tools`:
    the whole calls; `sent`: what the last request has in it.
    """

    text: str = ANSWER.text
    finish: str | None = "stop"
    error: str = ""
    keys: str = "one"
    tools: tuple[Tool, ...] = ()
    sent: str = ""

    @property
    def attempts(self) -> int:
        return len(self.keys.split())


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    `acts`: the answers of the provider, one request after another, before it is in good health. `but`: what
    comes of it in a protocol, or for one client, where that is something else; `only`: the protocols that
    have such a fault. `hasty`: the proxy's timers are short. `pool`: keys of its own, where the row would
    spoil those that all others share. `job`: what the client is asked to do besides.
    """

    id: str
    name: str
    acts: Sequence[Act]
    expected: Expected = Expected()
    but: Mapping[str, Expected] = field(default_factory=dict)
    only: tuple[str, ...] = PROTOCOLS
    hasty: bool = False
    pool: tuple[str, ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)

    def expected_of(self, protocol: str, client: str) -> Expected:
        return self.but.get(client) or self.but.get(protocol) or self.expected


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A row of the suite that other tests prove: files, and the tests in them."""

    id: str
    name: str
    proofs: tuple[str, ...]


ROTATED = Expected(keys="one two")
AGAIN = Expected(keys="one one")
CUT = Expected(CUT_TEXT, "length")
REFUSED = Expected("", None)

BOTH = Said(("Both. ",), tools=(WEATHER, TIME), finish="tools")
CALL = Said(tools=(WEATHER,), finish="tools")
SEALED = Said((), ("Let me ", "think. "), (WEATHER,), "tools")
LONG = Said(("0123456789abcdef" * (1 << 18), "done"))
WIDE = Said(("Grüße, ", "€ ", "日本語 ", "👩‍🚀 ", "e\u0301 ", "done"))
TOOLS = {"tools": True}
HALF_CALL = Expected("", None, "do not run the partial call")
LATER, SOON, NOW = (("retry-after", seconds) for seconds in ("300", "30", "1"))
WHOLE_CALL = Expected("", "length", tools=(WEATHER,))
CALLS_ARE_WHOLE = {"gemini_generate": WHOLE_CALL, "ollama_chat": WHOLE_CALL}
"""Half of a call's arguments cannot be said there: a cut after the call is no cut inside it."""

CANNOT_JOIN = Expected("", None, "UnknownApiResponseError")

ROWS = (
    Row("S1", "silence: no headers", [silent], ROTATED, hasty=True),
    Row("S1", "silence: no headers, twice", [silent] * 2, Expected(keys="one two one"), hasty=True),
    Row("S2", "headers, then silence", [opened(Hang())], ROTATED, hasty=True),
    Row("S2", "start events, then silence", [started(Hang())], ROTATED, hasty=True),
    Row("S3", "start events, then an error", [error_in_band], ROTATED),
    Row("S3", "the same twice", [error_in_band] * 2, Expected(keys="one two two")),
    Row("S4", "429 with Retry-After", [refused(429, LATER)], ROTATED),
    Row("S4", "429 without Retry-After", [refused(429)], ROTATED),
    Row("S4", "429 for a second, one key", [refused(429, NOW)], AGAIN, pool=("one",)),
    Row("S5", "401", [refused(401)], ROTATED, pool=("one", "two")),
    Row(
        "S5",
        "401 for every key",
        [refused(401)] * 2,
        replace(REFUSED, error=f"401 {COMPLAINT}", keys="one two"),
        pool=("one", "two"),
    ),
    Row("S6", "cut: reset", [cut(Reset())], CUT),
    Row("S6", "cut: closed inside a chunk", [cut_in_chunk], CUT),
    Row("S6", "cut: a clean end without finish", [cut(End())], CUT),
    Row("S6", "an error after text", [error_after_text], Expected(CUT_TEXT, None, COMPLAINT)),
    Row("S7", "stall after some events", [cut(Hang())], CUT, hasty=True),
    Row(
        "S8",
        "one malformed line",
        [with_garbage],
        but={"ollama_chat": Expected(CUT_TEXT, None, "is no JSON")},
    ),
    Row("S8", "events without data", [with_bare_fields], only=SSE),
    Row(
        "S8",
        "an event that is no JSON",
        [with_broken_json],
        Expected(CUT_TEXT, None, "is no JSON"),
        only=("openai_chat",),
    ),
    Row("S9", "slow bytes", [slowed(0.4)], hasty=True),
    *(
        Row("S10", f"{how} inside tool arguments", [act], HALF_CALL, but=CALLS_ARE_WHOLE, job=TOOLS)
        for how, act in (
            ("cut", cut(End(), said=CALL, after="Pa")),
            ("reset", cut(Reset(), said=CALL, after="Pa")),
        )
    ),
    Row("S11", "byte by byte", [changed(healthy(WIDE), pace=Pace())], Expected(WIDE.text)),
    Row("S11", "the other line ends", [altered(other_line_ends)]),
    Row(
        "S11",
        "data on several lines",
        [altered(on_two_lines)],
        but={"gemini_generate_google-older": CANNOT_JOIN},
        only=SSE,
    ),
    Row(
        "S11",
        "a 4 MiB event, then closed",
        [changed(healthy(LONG), framing=Framing.UNTIL_CLOSE)],
        Expected(LONG.text),
    ),
    Row(
        "S12",
        "parallel tool calls",
        [interleaved(BOTH)],
        Expected(BOTH.text, "tools", tools=(WEATHER, TIME)),
        job=TOOLS,
    ),
    Row(
        "S13",
        "a signature across a switch",
        [healthy(SEALED), refused(429, LATER)],
        Expected(keys="one one two", sent=SEAL),
        only=SEALING,
        job={**TOOLS, "reasoning": True, "turns": 3},
    ),
    Row(
        "S17",
        "all keys rate-limited",
        [refused(429, LATER), refused(429, SOON)],
        replace(REFUSED, error="429 rate-limited", keys="one two"),
        hasty=True,
    ),
    *(
        Row("S20", f"{encoding} from the provider", [changed(healthy(), encoding=encoding)])
        for encoding in ("gzip", "deflate", "br", "zstd")
    ),
    *(
        Row("S20", f"{encoding}, cut", [changed(cut(Fin()), encoding=encoding)], CUT)
        for encoding in ("gzip", "br", "zstd")
    ),
)
_LEAVING = "tests/e2e/test_clients_leave.py"
ELSEWHERE = (
    Elsewhere(
        "S13",
        "a signature that another key made",
        (
            "tests/rewrite/exchange/test_exchange_attempts.py::test_a_signature_of_another_credential_goes_back_to_the_former_one",
        ),
    ),
    Elsewhere(
        "S14",
        "the client leaves, at every stage",
        (
            f"{_LEAVING}::test_the_attempt_is_closed_at_once",
            f"{_LEAVING}::test_in_every_other_protocol_too",
            f"{_LEAVING}::test_no_attempt_follows_a_back_off",
            f"{_LEAVING}::test_a_wait_for_a_free_credential_ends",
            f"{_LEAVING}::test_a_connection_that_is_being_made_is_given_up",
            "tests/addons/call/test_client_gone.py::test_nothing_is_left",
        ),
    ),
    Elsewhere(
        "S15",
        "a WebSocket",
        (
            "tests/e2e/test_websocket.py::test_a_websocket_of_the_responses_api_is_refused_at_once",
            "tests/e2e/test_websocket.py::test_one_that_passes_has_the_pools_key_and_its_flow_does_not",
            "tests/e2e/test_websocket.py::test_a_turn_is_a_call_over_http",
        ),
    ),
    Elsewhere(
        "S16",
        "many calls, flat memory",
        (
            f"{_LEAVING}::test_nothing_is_left_of_calls_that_are_over",
            "tests/e2e/test_slow_readers.py::test_what_a_client_does_not_take_stays_with_the_provider",
        ),
    ),
    Elsewhere(
        "S18",
        "a fault of our own",
        (
            "tests/e2e/test_own_faults.py::test_nothing_leaves_before_an_attempt_is_open",
            "tests/e2e/test_own_faults.py::test_what_cannot_be_blacked_out_does_not_go_out",
        ),
    ),
    Elsewhere(
        "S19",
        "the proxy's own insides",
        ("tests/e2e/test_config.py::test_the_proxy_is_no_way_to_itself",),
    ),
)
