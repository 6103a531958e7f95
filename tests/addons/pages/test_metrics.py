"""What Prometheus reads: the conventions' names, and no more labels than are good for it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from addons.pages.metrics import MOST_MODELS, MOST_USERS, Current, Metrics, exposition
from rewrite.records.verdict import Verdict
from tests.addons.entries import ended
from tests.addons.pages.bench import KEY, Bench

CALL = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "openai",
    "gen_ai_request_model": "gpt-4o",
    "gen_ai_response_model": "gpt-4o-2024",
}


class Read:
    """The page as Prometheus takes it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        (found,) = [value for each, has, value in self.samples if each == name and has == labels]
        return found

    def labels(self, name: str, label: str) -> set[str]:
        return {has[label] for each, has, _ in self.samples if each == name}


def read(metrics: Metrics) -> Read:
    return Read(exposition(metrics)({}).body.decode())


def test_a_call_is_in_the_conventions_histograms() -> None:
    metrics = Metrics()
    metrics.take([ended()])
    found = read(metrics)
    tokens, seconds = "gen_ai_client_token_usage", "gen_ai_client_operation_duration_seconds"
    prompt, whole = {**CALL, "gen_ai_token_type": "input"}, {**CALL, "error_type": ""}
    assert found.value(f"{tokens}_sum", **prompt) == 1000
    assert found.value(f"{tokens}_bucket", **prompt, le="256.0") == 0
    assert found.value(f"{tokens}_bucket", **prompt, le="1024.0") == 1
    assert found.value(f"{tokens}_sum", **CALL, gen_ai_token_type="output") == 50
    assert found.value(f"{seconds}_sum", **whole) == 2.5
    assert found.value(f"{seconds}_bucket", **whole, le="+Inf") == 1
    assert found.value("gen_ai_server_time_to_first_token_seconds_count", **CALL) == 1


def test_and_in_ours() -> None:
    metrics = Metrics()
    for entry in (ended(), ended(attempts=3, verdict=Verdict.SPARE, failed_tokens=7, failed_cost=0.5)):
        metrics.take([entry])
    found = read(metrics)
    assert found.value("rotator_calls_total", provider="openai", verdict="spare") == 1
    assert found.value("rotator_retries_total", provider="openai") == 2
    cost = found.value("rotator_cost_dollars_total", provider="openai", model="gpt-4o", source="prices")
    assert cost == pytest.approx(1.0)
    read_from_cache = {"provider": "openai", "model": "gpt-4o", "class": "cache_read"}
    assert found.value("rotator_tokens_total", **read_from_cache) == 1800
    assert found.value("rotator_failed_tokens_total", provider="openai") == 7


@pytest.mark.parametrize(
    ("verdict", "status", "error"),
    [
        (Verdict.REFUSED, 401, "401"),
        (Verdict.FAILED, 200, "failed"),
        (Verdict.FAILED, None, "failed"),
        (Verdict.LEFT, 200, "client_left"),
        (Verdict.TRUNCATED, 200, "truncated"),
        (Verdict.FALLBACK, 200, ""),
    ],
)
def test_an_error_has_its_type(verdict: Verdict, status: int | None, error: str) -> None:
    metrics = Metrics()
    metrics.take([ended(verdict=verdict, status=status)])
    assert read(metrics).labels("gen_ai_client_operation_duration_seconds_count", "error_type") == {error}


def test_models_that_clients_invent_are_no_labels() -> None:
    metrics = Metrics()
    for count in range(2 * MOST_MODELS):
        metrics.take([ended(model=f"guess-{count}", served="", verdict=Verdict.REFUSED, status=404)])
        metrics.take([ended(model=f"taken-{count}")])
    metrics.take([ended(model="", served="")])
    found = read(metrics).labels("gen_ai_client_operation_duration_seconds_count", "gen_ai_request_model")
    assert found == {"other", "", *(f"taken-{count}" for count in range(MOST_MODELS))}


def test_users_have_sums_of_their_own() -> None:
    metrics = Metrics()
    metrics.take([ended(), ended(user="alice"), ended(user="alice", verdict=Verdict.REFUSED, tokens=None)])
    found = read(metrics)
    assert found.value("rotator_user_calls_total", user="alice", verdict="ok") == 1
    assert found.value("rotator_user_calls_total", user="alice", verdict="refused") == 1
    assert found.value("rotator_user_tokens_total", user="alice") == 1050
    assert found.value("rotator_user_cost_dollars_total", user="alice") == 0.5
    assert found.labels("rotator_user_calls_total", "user") == {"alice"}


def test_users_that_clients_invent_are_no_labels() -> None:
    metrics = Metrics()
    metrics.take([ended(user=f"user-{number}") for number in range(MOST_USERS + 9)])
    found = read(metrics)
    assert len(found.labels("rotator_user_calls_total", "user")) == MOST_USERS + 1
    assert found.value("rotator_user_calls_total", user="other", verdict="ok") == 9


def test_the_state_of_now_is_read_from_the_pool() -> None:
    bench = Bench(openai=["one", "two"])
    bench.pool.cool("openai", "one", 60)
    outcomes = {"openai/one": {"completed": 3, "rejected (429 rate)": 1}}
    page = exposition(bench.metrics, Current(bench.views.status, lambda: outcomes))({})
    found = Read(page.body.decode())
    one = {"provider": "openai", "credential": "one"}
    assert found.value("rotator_credential_state", **one, state="cooling") == 1
    assert found.value("rotator_credential_state", **one, state="ready") == 0
    assert found.value("rotator_credential_wait_seconds", **one) == 60
    assert found.value("rotator_attempts_total", **one, outcome="rejected (429 rate)") == 1
    assert found.value("rotator_live_calls", state="streams") == 0
    assert found.value("rotator_waiting_calls") == 0
    assert KEY.format("one") not in found.text
    assert "rotator_store" not in found.text
    assert page.kind.startswith("text/plain")


def test_two_proxies_in_one_process_do_not_share_a_registry() -> None:
    one, two = Metrics(), Metrics()
    one.take([ended()])
    assert "rotator_calls_total{" in read(one).text
    assert "rotator_calls_total{" not in read(two).text


@pytest.mark.parametrize("is_up", [True, False])
def test_a_store_that_is_shared(is_up: bool) -> None:
    bench = Bench()
    bench.store = {"server": "cache:6379/0", "is_up": is_up, "proxies": 3, "commands": 42}
    found = Read(exposition(Current(bench.views.status, dict))({}).body.decode())
    assert found.value("rotator_store_up") == is_up
    assert found.value("rotator_store_proxies") == 3
    assert found.value("rotator_store_commands_total") == 42
