"""What Prometheus reads at /metrics.

Names and labels are those of OpenTelemetry's conventions for generative AI where there are some, as its
exporter writes them for Prometheus: dots become underscores, and the unit ends the name. All others begin
with `rotator_`.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/

Clients invent names of models: one is a label only once a call to it was answered, and no more than so many.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from addons.pages.reply import Reply
from addons.pages.views import Data
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens

MOST_MODELS = 100
"""Models that get labels of their own."""

MOST_USERS = 100
"""Users that do."""

OTHER = "other"
"""The label of all others."""

TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of histograms, as the conventions have them."""

_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
_OPERATIONS = {"generate": "chat"}
"""The conventions' words for ours."""

_ENDS = {Verdict.LEFT: "client_left", Verdict.TRUNCATED: "truncated"}
_FAILED = frozenset({Verdict.FAILED, Verdict.REFUSED})
_CLASSES = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")

type Labels = tuple[str, ...]


class Histogram:
    """Of all values with the same labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._family = name, text, tuple(labels)
        self._bounds = bounds
        self._known: dict[Labels, tuple[list[int], list[float]]] = {}  # in each bucket; the sum

    def note(self, labels: Labels, value: float) -> None:
        known = self._known.get(labels)
        if known is None:
            known = self._known[labels] = [0] * (len(self._bounds) + 1), [0.0]
        known[0][bisect_left(self._bounds, value)] += 1
        known[1][0] += value

    def family(self) -> HistogramMetricFamily:
        name, text, labels = self._family
        family = HistogramMetricFamily(name, text, labels=labels)
        bounds = [*map(str, map(float, self._bounds)), "+Inf"]
        for values, (counts, total) in self._known.items():
            family.add_metric(values, [*zip(bounds, accumulate(counts), strict=True)], total[0])
        return family


class Metrics(Collector):
    """`take` gets the entries of calls that are over."""

    def __init__(self) -> None:
        self._models: set[tuple[str, str, str]] = set()
        tokens, seconds = (*_CALL, "gen_ai_token_type"), (*_CALL, "error_type")
        self._tokens = Histogram(
            "gen_ai_client_token_usage", "Tokens that a call used, input and output.", tokens, TOKENS
        )
        self._seconds = Histogram(
            "gen_ai_client_operation_duration_seconds", "How long calls took.", seconds, SECONDS
        )
        self._first = Histogram(
            "gen_ai_server_time_to_first_token_seconds", "How long clients waited for it.", _CALL, FIRST
        )
        self._calls: Counter[Labels] = Counter()
        self._retries: Counter[Labels] = Counter()
        self._classes: Counter[Labels] = Counter()
        self._cost: dict[Labels, float] = {}
        self._failed: Counter[Labels] = Counter()
        self._users = _OfUsers()

    def take(self, entries: Iterable[CallEntry]) -> None:
        for entry in entries:
            self._note(entry)
            if entry.user:
                self._users.note(entry)

    def _note(self, entry: CallEntry) -> None:
        provider, model, served = self._named(entry)
        call = _OPERATIONS.get(entry.operation, entry.operation), provider, model, served
        self._calls[provider, entry.verdict.value] += 1
        self._seconds.note((*call, _error_of(entry)), entry.seconds)
        if entry.first_token is not None:
            self._first.note(call, entry.first_token)
        if entry.attempts > 1:
            self._retries[provider,] += entry.attempts - 1
        if entry.tokens is not None:
            self._note_tokens(call, entry.tokens)
        if entry.failed_tokens:
            self._failed[provider,] += entry.failed_tokens
        if cost := (entry.cost or 0.0) + entry.failed_cost:
            priced = provider, model, entry.cost_source
            self._cost[priced] = self._cost.get(priced, 0.0) + cost

    def _note_tokens(self, call: Labels, tokens: Tokens) -> None:
        prompt = tokens.input + tokens.cache_read + tokens.cache_write + tokens.cache_write_1h
        self._tokens.note((*call, "input"), prompt)
        self._tokens.note((*call, "output"), tokens.output)
        for name in _CLASSES:
            if count := getattr(tokens, name):
                self._classes[call[1], call[2], name] += count

    def _named(self, entry: CallEntry) -> tuple[str, str, str]:
        """The provider and the models of a call as labels."""
        found = entry.provider, entry.model, entry.served
        if found in self._models:
            return found
        if entry.verdict in _FAILED or len(self._models) >= MOST_MODELS:
            return entry.provider, OTHER if entry.model else "", ""
        self._models.add(found)
        return found

    def collect(self) -> Iterator[Metric]:
        yield self._tokens.family()
        yield self._seconds.family()
        yield self._first.family()
        yield _counter("rotator_calls", "Calls that are over.", ("provider", "verdict"), self._calls)
        yield _counter("rotator_retries", "Attempts after the first.", ("provider",), self._retries)
        classes = "provider", "model", "class"
        yield _counter("rotator_tokens", "Tokens by class; reasoning is in output.", classes, self._classes)
        cost = "provider", "model", "source"
        yield _counter("rotator_cost_dollars", "What calls cost, where known.", cost, self._cost)
        text = "Tokens of attempts that failed."
        yield _counter("rotator_failed_tokens", text, ("provider",), self._failed)
        yield from self._users.families()


class _OfUsers:
    """What calls of those came to who have a name."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._calls: Counter[Labels] = Counter()
        self._tokens: Counter[Labels] = Counter()
        self._cost: dict[Labels, float] = {}

    def note(self, entry: CallEntry) -> None:
        name = self._named(entry.user)
        self._calls[name, entry.verdict.value] += 1
        if entry.tokens is not None:
            self._tokens[name,] += entry.tokens.total
        if entry.cost:
            self._cost[name,] = self._cost.get((name,), 0.0) + entry.cost

    def _named(self, user: str) -> str:
        """Where any name will do, clients invent them."""
        if len(self._names) < MOST_USERS:
            self._names.add(user)
        return user if user in self._names else OTHER

    def families(self) -> Iterator[Metric]:
        labels = "user", "verdict"
        yield _counter("rotator_user_calls", "Calls of a user that are over.", labels, self._calls)
        yield _counter("rotator_user_tokens", "Tokens of a user.", ("user",), self._tokens)
        text = "What calls of a user cost, where known."
        yield _counter("rotator_user_cost_dollars", text, ("user",), self._cost)


def _error_of(entry: CallEntry) -> str:
    """Why a call did not end well. Empty: it did."""
    if entry.verdict in _FAILED:
        return str(entry.status) if entry.status and entry.status >= 400 else entry.verdict.value
    return _ENDS.get(entry.verdict, "")


def _counter(
    name: str, text: str, labels: Sequence[str], known: Mapping[Labels, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in known.items():
        family.add_metric(values, count)
    return family


def _gauge(
    name: str, text: str, labels: Sequence[str], known: Iterable[tuple[Labels, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in known:
        family.add_metric(values, value)
    return family


STATES = ("ready", "cooling", "full", "retired")
_LIVE = ("asks", "streams", "waits")


class Current(Collector):
    """What holds at this moment. `status`: see `Views.status`; `outcomes`: how many attempts came to what, by
    the `provider/name` of their credential."""

    def __init__(
        self, status: Callable[[], Data], outcomes: Callable[[], Mapping[str, Mapping[str, int]]]
    ) -> None:
        self._status, self._outcomes = status, outcomes

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _gauge("rotator_info", "Which version this is.", ("version",), [((status["version"],), 1)])
        live = Counter(call["state"] for call in status["calls"])
        calls = [((state,), live[state]) for state in _LIVE]
        yield _gauge("rotator_live_calls", "Calls that are not over.", ("state",), calls)
        yield _gauge("rotator_waiting_calls", "Calls in line for a key.", (), [((), status["waiting"])])
        yield _gauge("rotator_sessions", "Conversations with a key.", (), [((), status["sessions"])])
        yield from _of_credentials([*_credentials(status)])
        yield self._attempts()
        if store := status.get("store"):
            yield from _of_store(store)

    def _attempts(self) -> CounterMetricFamily:
        found: Counter[Labels] = Counter()
        for which, outcomes in self._outcomes().items():
            provider, _, name = which.partition("/")
            for outcome, count in outcomes.items():
                found[provider, name, outcome] += count
        labels = "provider", "credential", "outcome"
        return _counter("rotator_attempts", "Attempts that are over.", labels, found)


def _of_store(store: Data) -> Iterator[Metric]:
    """Of the one that proxies share."""
    up = [((), float(store["is_up"]))]
    yield _gauge("rotator_store_up", "Whether the shared store can be asked.", (), up)
    proxies = [((), store["proxies"])]
    yield _gauge("rotator_store_proxies", "How many proxies share it, as far as is known.", (), proxies)
    commands: Mapping[Labels, float] = {(): store["commands"]}
    yield _counter("rotator_store_commands", "Commands that it was asked.", (), commands)


def _credentials(status: Data) -> Iterator[tuple[Labels, Mapping[str, Any]]]:
    for provider, pool in status["providers"].items():
        for one in pool["credentials"]:
            yield (provider, one["name"]), one


def _of_credentials(found: Sequence[tuple[Labels, Mapping[str, Any]]]) -> Iterator[Metric]:
    labels = "provider", "credential"
    states = [((*which, state), float(one["state"] == state)) for which, one in found for state in STATES]
    yield _gauge("rotator_credential_state", "1 for the state that it is in.", (*labels, "state"), states)
    waits = [(which, inf if one["seconds"] is None else one["seconds"]) for which, one in found]
    text = "Seconds until it may be used; +Inf: nobody knows."
    yield _gauge("rotator_credential_wait_seconds", text, labels, waits)
    busy = [(which, one["in_flight"]) for which, one in found]
    yield _gauge("rotator_credential_in_flight", "Attempts under way.", labels, busy)


def exposition(*collectors: Collector) -> Callable[[object], Reply]:
    """The page of `collectors` and of this process, in a registry of its own."""
    registry = CollectorRegistry(auto_describe=False)
    for each in (*collectors, ProcessCollector(registry=None)):
        registry.register(each)
    return lambda _: Reply(200, generate_latest(registry), CONTENT_TYPE_LATEST)
