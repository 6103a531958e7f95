"""Limits in the config: what they become, and what is refused in one line that names file and key."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from addons.config.providers import Configured
from addons.config.settings import ConfigError, load
from rewrite.catalog.model_facts import facts_of, quota_groups
from rewrite.catalog.providers import FairCycle
from rewrite.credentials.windows import Cap, Period, Unit, Window

KEY = {"K": "sk-a-key-of-the-pool"}


def configured(tmp_path: Path, text: str, provider: str = "openai") -> Configured:
    file = tmp_path / "rotator.toml"
    file.write_text(text)
    file.chmod(0o600)
    settings = load(str(file), KEY, tmp_path)
    return next(one for one in settings.providers if one.provider.name == provider)


def credential(limits: str, provider: str = "openai", more: str = "") -> str:
    return f'[providers.{provider}]\n{more}\ncredentials = [{{ name = "a", key = "env:K", {limits} }}]'


def test_windows_and_caps_are_those_of_the_credential(tmp_path: Path) -> None:
    text = credential(
        'windows = [{ unit = "requests", limit = 60, per = 60 }, '
        '{ unit = "tokens", limit = 2e6, per = "day", zone = "Europe/Berlin" }], '
        'caps = { requests = -8, tokens = "12.5%" }'
    )
    one = configured(tmp_path, text).credentials[0].credential
    assert one.windows == (
        Window(Unit.REQUESTS, 60, 60.0, ZoneInfo("UTC")),
        Window(Unit.TOKENS, 2e6, Period.DAY, ZoneInfo("Europe/Berlin")),
    )
    assert one.caps == (Cap(Unit.REQUESTS, -8), Cap(Unit.TOKENS, share=0.125))


def test_quota_groups_come_before_the_facts_of_a_provider_that_stay(tmp_path: Path) -> None:
    text = '[providers.openai]\nmodels = [{ match = "GPT-5*", quota_group = "five" }]'
    known = configured(tmp_path, text).provider
    assert quota_groups(known) == (("gpt-5*", "five"),)
    assert facts_of(known, "gpt-5-mini").reasoning
    assert facts_of(known, "gpt-5-mini").quota_group == "five"
    assert facts_of(known, "gpt-4o").quota_group is None


@pytest.mark.parametrize(
    ("value", "cycle"),
    [
        ("true", FairCycle.TIER),
        ('"tier"', FairCycle.TIER),
        ('"all"', FairCycle.ALL),
        ("false", FairCycle.OFF),
    ],
)
def test_a_cycle_is_for_a_tier_or_for_all(tmp_path: Path, value: str, cycle: FairCycle) -> None:
    assert configured(tmp_path, f"[providers.openai]\nfair_cycle = {value}").provider.fair_cycle is cycle


def test_costs_are_counted_where_answers_say_them(tmp_path: Path) -> None:
    cost = 'windows = [{ unit = "cost", limit = 1, per = "month" }]'
    assert configured(tmp_path, credential(cost, "openrouter"), "openrouter").credentials
    own = 'base_url = "https://g.example"\nhosts = ["g.example"]\nprotocols = ["openai_chat"]'
    assert configured(tmp_path, credential(cost, "gateway", own), "gateway").credentials


def test_a_check_is_of_a_key_or_of_all(tmp_path: Path) -> None:
    one = configured(tmp_path, credential("check = true", "openrouter"), "openrouter").credentials[0]
    assert one.credential.check
    every = credential("priority = 2", "openrouter", "check = true")
    assert configured(tmp_path, every, "openrouter").credentials[0].credential.check
    none = credential("priority = 2", "openrouter")
    assert not configured(tmp_path, none, "openrouter").credentials[0].credential.check


WINDOW = "providers.openai.credentials[0].windows[0]"
PER = f"{WINDOW}.per: must be seconds"
CAPS = "providers.openai.credentials[0].caps"
WRONG = [
    (credential("windows = [{ limit = 3, per = 60 }]"), f"{WINDOW}.unit: is missing"),
    (credential('windows = [{ unit = "requests", per = 60 }]'), f"{WINDOW}.limit: is missing"),
    (credential('windows = [{ unit = "requests", limit = 3 }]'), f"{WINDOW}.per: is missing"),
    (credential('windows = [{ unit = "calls", limit = 3, per = 60 }]'), f'{WINDOW}.unit: must be "requests"'),
    (credential('windows = [{ unit = "tokens", limit = 0, per = 60 }]'), f"{WINDOW}.limit: must be a number"),
    (
        credential('windows = [{ unit = "tokens", limit = 3, per = "hour" }]'),
        PER,
    ),
    (credential('windows = [{ unit = "tokens", limit = 3, per = -1 }]'), PER),
    (credential('windows = [{ unit = "tokens", limit = 3, per = inf }]'), PER),
    (credential('windows = [{ unit = "tokens", limit = 3, per = 5e-324 }]'), PER),
    (
        credential(f'windows = [{{ unit = "tokens", limit = 1{"0" * 400}, per = 60 }}]'),
        f"{WINDOW}.limit: must be",
    ),
    (
        credential('windows = [{ unit = "tokens", limit = 3, per = 60, zone = "UTC" }]'),
        f'{WINDOW}.zone: is of a "day"',
    ),
    (
        credential('windows = [{ unit = "tokens", limit = 3, per = "day", zone = "../passwd" }]'),
        f"{WINDOW}.zone: must be a time zone",
    ),
    (
        credential('windows = [{ unit = "cost", limit = 3, per = "day" }]'),
        f"{WINDOW}.unit: is not known: answers of openai",
    ),
    (credential("windows = 3"), "providers.openai.credentials[0].windows: must be a list of tables, such as"),
    (credential("caps = 3"), f"{CAPS}: must be a table, such as"),
    (credential("caps = { requests = 0 }"), f"{CAPS}.requests: must be a number such as 3"),
    (credential(f"caps = {{ requests = 1{'0' * 400} }}"), f"{CAPS}.requests: must be a number such as 3"),
    (credential("weight = nan"), "providers.openai.credentials[0].weight: must be a finite number"),
    (credential("caps = { requests = 2.5 }"), f"{CAPS}.requests: must be a number such as 3"),
    (credential('caps = { requests = "101%" }'), f"{CAPS}.requests: must be a number such as 3"),
    (credential('caps = { cost = "50%" }'), f"{CAPS}.cost: unknown name"),
    ('[providers.openai]\nmodels = [{ match = "a*" }]', "providers.openai.models[0]: says nothing of"),
    ('[providers.openai]\nmodels = [{ quota_group = "a" }]', "providers.openai.models[0].match: is missing"),
    (
        '[providers.openai]\nmodels = [{ match = "!a", quota_group = "a" }]',
        "providers.openai.models[0].match: must be a glob",
    ),
    (credential("check = true"), "providers.openai.credentials[0].check: is not possible"),
    ("[providers.openai]\ncheck = true", "providers.openai.check: is not possible"),
    ('[providers.openai]\nfair_cycle = "always"', "providers.openai.fair_cycle: must be true, false"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[line for _, line in WRONG])
def test_nonsense_gets_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as found:
        configured(tmp_path, text)
    (line,) = found.value.lines
    assert line.startswith(f"{tmp_path / 'rotator.toml'}: {expected}")
