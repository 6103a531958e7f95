"""What is shown of a call that is not over: where its exchange is, and for how long it waits for what."""

from mitmproxy.test import tflow

from addons.call.live import Wait, live_call
from addons.records.record import Record
from rewrite.exchange.exchange import Exchange
from rewrite.values.events import (
    Acquired,
    Event,
    NoneFree,
    Start,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from tests.rewrite.scenes import CHAT, SSE, TERMS, call, chunk, exchange_of

WAIT = Wait(107.5, "one: is rate-limited")


def after(*events: Event) -> Exchange:
    exchange = exchange_of(call(), CHAT, TERMS, now=100.0)
    for event in events:
        exchange.handle(event, 101.0)
    return exchange


def shown(exchange: Exchange, now: float = 102.0) -> tuple[object, ...]:
    record = Record(tflow.tflow(), call(), "vendor", ())
    found = live_call(record, exchange, WAIT, now)
    assert (found.id, found.model, found.provider) == ("call", "model", exchange.target.provider.name)
    return found.state, found.credential, found.since, found.seconds, found.why, found.attempts


def test_a_call_asks_from_its_beginning_on() -> None:
    assert shown(after()) == ("asks", "", 2.0, None, "", 1)
    assert shown(after(Start(), Acquired(1, "one"), UpstreamSent(1))) == ("asks", "one", 2.0, None, "", 1)


def test_it_streams_once_its_client_gets_something() -> None:
    answered = Start(), Acquired(1, "one"), UpstreamSent(1), UpstreamStarted(1, SSE)
    exchange = after(*answered, UpstreamData(1, chunk({"content": "Hello"})))
    assert shown(exchange) == ("streams", "one", 2.0, None, "", 1)


def test_it_waits_for_so_long_and_says_for_what() -> None:
    exchange = after(Start(), NoneFree(1, 7.5, keys=("one: is rate-limited",)))
    assert shown(exchange) == ("waits", "", 2.0, 5.5, "one: is rate-limited", 1)
    assert shown(exchange, now=109.0)[3] == 0.0
