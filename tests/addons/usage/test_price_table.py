"""The prices in force: where the list comes from, and whose prices go before."""

import logging
import tracemalloc
from pathlib import Path

import pytest

from addons.config.provider_files import built_in
from addons.usage.price_table import PriceTable, list_in_force, shipped_list, vendors_of
from protocols.model.parts import Usage
from rewrite.catalog.provider_tables import provider
from rewrite.usage.costs import Cost, call_cost
from rewrite.usage.own_prices import own_prices

NOW = 1.79e9
MILLION = Usage(input=1_000_000)
BUILT_IN = [provider(name, facts) for name, facts in built_in().items()]
MODEL = b'{"id": "m", "match": {"contains": "gpt"}, "prices": {"input_mtok": 77}}'
OTHER = b'[{"id": "openai", "api_pattern": "https://api.openai.com", "models": [%s]}]' % MODEL


@pytest.fixture
def table(tmp_path: Path) -> PriceTable:
    return PriceTable(tmp_path / "prices.json")


def cost(table: PriceTable, name: str, model: str) -> Cost | None:
    return call_cost(table.prices.known, name, (model,), MILLION, NOW)


def test_before_the_list_is_read_only_what_is_stated_is_known(table: PriceTable) -> None:
    assert cost(table, "openai", "gpt-4o") is None
    assert call_cost(table.prices.known, "openai", ("gpt-4o",), Usage(cost=0.5), NOW) == Cost(0.5, "provider")


def test_the_list_that_ships_holds(table: PriceTable) -> None:
    table.follow(BUILT_IN, ["openai"], ())
    table.settle()
    assert cost(table, "openai", "gpt-4o") == Cost(2.5, "prices")
    assert cost(table, "gemini", "gemini-2.5-flash") == Cost(0.3, "prices")
    assert cost(table, "chatgpt", "gpt-5") is None


def test_own_prices_go_before_it(table: PriceTable) -> None:
    table.follow(BUILT_IN, [], own_prices({"openai/gpt-4o": {"input": 1, "output": 1}}))
    table.settle()
    assert cost(table, "openai", "gpt-4o") == Cost(1, "own")


def test_a_list_of_the_users_takes_the_place_of_the_other(table: PriceTable) -> None:
    table.updated.write_bytes(OTHER)
    table.follow(BUILT_IN, [], ())
    table.settle()
    assert cost(table, "openai", "gpt-4o") == Cost(77, "prices")
    assert cost(table, "anthropic", "claude-opus-5") is None
    table.updated.unlink()
    table.follow(BUILT_IN, [], ())
    table.settle()
    assert cost(table, "openai", "gpt-4o") == Cost(2.5, "prices")


def test_a_list_that_is_none_is_said_and_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "prices.json"
    broken.write_text("[{]")
    with caplog.at_level(logging.WARNING, "rotator"):
        found = list_in_force(broken)
    assert found.vendors() == shipped_list().vendors()
    assert caplog.messages[0].startswith(f"{broken}: ")
    assert caplog.messages[0].endswith("it is not used: replace it by a newer list, or delete it")


def test_each_built_in_provider_is_in_the_list_or_said_not_to_be() -> None:
    vendors = vendors_of(BUILT_IN, shipped_list())
    assert {vendor for vendor in vendors.values() if vendor} <= set(shipped_list().vendors())
    without = {name for name, vendor in vendors.items() if not vendor}
    assert without == {"antigravity", "chatgpt", "code_assist", "ollama", "ollama_cloud"}


def test_a_provider_of_the_users_is_known_by_its_url() -> None:
    facts = {"hosts": [], "protocols": ["openai_chat"]}
    groq = provider("fast", {**facts, "base_url": "https://api.groq.com/openai"})
    gateway = provider("gateway", {**facts, "base_url": "https://gateway.example"})
    named = provider("mirror", {**facts, "base_url": "https://gateway.example", "price_list": "openai"})
    vendors = vendors_of([groq, gateway, named], shipped_list())
    assert vendors == {"fast": "groq", "gateway": "", "mirror": "openai"}


def test_the_list_takes_little_memory() -> None:
    """A provider's models are read when the first of them is asked for."""
    tracemalloc.start()
    found = shipped_list()
    found.find("openai", "gpt-4o")
    found.find("anthropic", "claude-opus-5")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3_000_000
