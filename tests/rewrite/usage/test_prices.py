"""What a call cost, worked out by hand."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec
import pytest

import rewrite.usage
from protocols.model.parts import OtherUsage, Usage
from rewrite.usage.costs import Cost, call_cost, cost_of
from rewrite.usage.entry import Tokens
from rewrite.usage.own_prices import BadOwnPrices, own_prices
from rewrite.usage.price_list import BadPrices, PriceList, trimmed
from rewrite.usage.prices import Prices

SHIPPED = Path(rewrite.usage.__file__).parent / "data" / "prices.json"
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp()
MILLION = 1_000_000


@cache
def shipped() -> PriceList:
    return PriceList(SHIPPED.read_bytes())


def cost(provider: str, model: str, tokens: Tokens, at: float = NOW, tier: str = "") -> float | None:
    found = cost_of(Prices(shipped()).known, provider, model, tokens, at, tier)
    return found.amount if found else None


@pytest.mark.parametrize(
    ("provider", "model", "tokens", "expected"),
    [
        ("openai", "gpt-4o", Tokens(input=MILLION, output=MILLION), 2.5 + 10),
        ("openai", "gpt-4o-2024-08-06", Tokens(cache_read=MILLION), 1.25),
        ("openai", "GPT-4o", Tokens(input=MILLION), 2.5),
        ("anthropic", "claude-opus-5", Tokens(cache_write=MILLION, cache_write_1h=MILLION), 6.25 + 10),
        ("anthropic", "claude-opus-5", Tokens(searches=2), 0.02),
        ("google", "gemini-2.5-flash", Tokens(input=MILLION, input_audio=400_000), 0.6 * 0.3 + 0.4 * 1),
        ("google", "gemini-2.5-flash-image", Tokens(output=1000, output_image=1000), 0.03),
        ("openrouter", "anthropic/claude-3.5-haiku", Tokens(input=MILLION), 0.8),
        ("perplexity", "sonar-pro", Tokens(input=1000), 0.003 + 0.014),
        ("perplexity", "sonar-deep-research", Tokens(output=2 * MILLION, reasoning=MILLION), 8 + 3),
        ("google", "claude-opus-5", Tokens(input=MILLION), 5.0),
        ("openai", "a-model-of-nobody", Tokens(input=1), None),
        ("nobody", "gpt-4o", Tokens(input=1), None),
        ("openai", "", Tokens(input=1), None),
        ("openai", "text-embedding-3-small", Tokens(output=1), None),
    ],
)
def test_a_class_costs_its_own_price(
    provider: str, model: str, tokens: Tokens, expected: float | None
) -> None:
    found = cost(provider, model, tokens)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_long_prompt_has_prices_of_its_own() -> None:
    before_flat_prices = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    long = Tokens(input=100_000, cache_read=100_001, output=1000)
    short = Tokens(input=100_000, cache_read=100_000, output=1000)
    found = [cost("anthropic", "claude-opus-4-6", one, before_flat_prices) for one in (short, long)]
    assert found == pytest.approx([0.5 + 0.05 + 0.025, 1 + 0.100001 + 0.0375])
    assert cost("anthropic", "claude-opus-4-6", long) == pytest.approx(0.5 + 0.0500005 + 0.025)


def test_prices_by_the_time_of_the_day() -> None:
    entry = {
        "id": "m",
        "match": {"equals": "m"},
        "prices": [
            {"prices": {"input_mtok": 2}},
            {
                "constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"},
                "prices": {"input_mtok": 1},
            },
        ],
    }
    find = Prices(PriceList(trimmed(_list(entry)))).known
    day = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    asked = [day + 60 * minutes for minutes in (0, 29, 30, 16 * 60 + 29, 16 * 60 + 30)]
    found = [cost_of(find, "v", "m", Tokens(input=MILLION), at) for at in asked]
    assert [one.amount for one in found if one] == [1, 1, 2, 2, 1]


def test_other_terms_have_other_prices() -> None:
    tokens = Tokens(input=MILLION)
    by_tier = {tier: cost("anthropic", "claude-opus-5", tokens, tier=tier) for tier in ("", "fast", "batch")}
    assert by_tier == {"": 5, "fast": 10, "batch": 2.5}
    assert cost("anthropic", "claude-opus-5", tokens, tier="standard") == 5
    assert cost("openai", "gpt-5", tokens, tier="flex") == 0.625


def test_the_users_prices_go_first() -> None:
    own = own_prices({"OpenAI/gpt-4*": {"input": 1, "output": 2}, "*/local": {"input": 0, "output": 0}})
    find = Prices(shipped(), own).known
    tokens = Tokens(input=MILLION, cache_read=MILLION, output=MILLION)
    assert cost_of(find, "openai", "gpt-4o", tokens, NOW) == Cost(4, "own")
    assert cost_of(find, "acme", "Local", tokens, NOW) == Cost(0, "own")
    assert cost_of(find, "openai", "gpt-5", Tokens(), NOW) == Cost(0, "prices")


@pytest.mark.parametrize(
    ("tables", "key", "text"),
    [
        ({"acme/*": 3}, "acme/*", "expected a table"),
        ({"llama": {"input": 1, "output": 1}}, '"llama"', "names no provider"),
        ({"acme/*": {"input": 1}}, '"acme/*".output', "is missing"),
        ({"acme/*": {"input": 1, "output": -1}}, '"acme/*".output', "expected US dollars"),
        ({"acme/*": {"input": True, "output": 1}}, '"acme/*".input', "expected US dollars"),
        ({"acme/*": {"input": 1, "output": 1, "cached": 1}}, '"acme/*".cached', "is not known: use input, "),
    ],
)
def test_an_error_in_the_users_prices_names_its_key(tables: dict[str, object], key: str, text: str) -> None:
    with pytest.raises(BadOwnPrices) as caught:
        own_prices(tables)
    found, said = caught.value.errors[0]
    assert found == key
    assert said.startswith(text)


def test_the_providers_own_figure_goes_before_all() -> None:
    find = Prices(shipped(), vendors={"work": "openai", "subscription": ""}).known
    counted = Usage(input=MILLION, output=0)
    stated = Usage(input=MILLION, cost=0.07)
    assert call_cost(find, "work", ("gpt-4o",), stated, NOW) == Cost(0.07, "provider")
    assert call_cost(find, "work", ("gpt-4o",), counted, NOW) == Cost(2.5, "prices")
    assert call_cost(find, "work", ("", "a deployment", "gpt-4o"), counted, NOW) == Cost(2.5, "prices")
    assert call_cost(find, "subscription", ("gpt-4o",), counted, NOW) is None
    assert call_cost(Prices().known, "openai", ("gpt-4o",), counted, NOW) is None


def test_another_pass_costs_what_its_own_model_costs() -> None:
    advice = OtherUsage("claude-opus-5", Usage(input=MILLION))
    usage = Usage(output=MILLION, besides=(advice, OtherUsage("", Usage(output=MILLION))))
    find = Prices(shipped()).known
    assert call_cost(find, "anthropic", ("claude-haiku-4-5",), usage, NOW) == Cost(5 + 5 + 5, "prices")
    unknown = msgspec.structs.replace(usage, besides=(OtherUsage("", Usage(searches=1)), advice))
    assert call_cost(find, "anthropic", ("no-such-model",), unknown, NOW) is None


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://api.openai.com", "openai"),
        ("https://api.groq.com/openai", "groq"),
        ("http://127.0.0.1:1234", ""),
    ],
)
def test_a_provider_is_known_by_its_url(url: str, vendor: str) -> None:
    assert shipped().vendor_at(url) == vendor


def test_the_shipped_list_is_whole_and_has_nothing_that_is_not_read() -> None:
    data = SHIPPED.read_bytes()
    assert trimmed(data) == data
    models = [model for vendor in shipped().vendors() for model in shipped().models(vendor)]
    assert len(models) > 2000
    assert (SHIPPED.parent / "LICENSE").read_text().startswith("The MIT License")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"providers": []}',
        b'[{"id": "v", "api_pattern": "(", "models": []}]',
        b'[{"id": "v", "api_pattern": "", "models": [{"id": "m"}]}]',
        b'[{"id": "v", "api_pattern": "", "models": [{"id": "m", "match": {}, "prices": {"x": -1}}]}]',
        b'[{"id": "v", "api_pattern": "", "models": [{"id": "m", "match": {}, "prices": {"x": 1e300}}]}]',
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(BadPrices):
        trimmed(data)


def _list(entry: object) -> bytes:
    return msgspec.json.encode([{"id": "v", "api_pattern": "https://v", "models": [entry]}])
