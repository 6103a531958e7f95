"""Providers of the config: what they take over of others, whose hosts are whose, and what is refused."""

from pathlib import Path

import pytest

from addons.config.providers import Configured
from addons.config.settings import ConfigError, Settings, load
from rewrite.catalog.hosts import serves
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Carrier
from rewrite.values.outcome import Kind

KEY = {"K": "sk-a-key-of-the-pool-0123"}
CREDENTIALS = 'credentials = [{ name = "a", key = "env:K" }]'


def loaded(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "rotator.toml").write_text(text)
    return load("rotator.toml", {**KEY, **environ}, folder)


def named(settings: Settings, name: str) -> Configured:
    return next(one for one in settings.providers if one.provider.name == name)


def owner(settings: Settings, host: str) -> str:
    """Whose a call to `host` is."""
    return next(one.provider.name for one in settings.providers if serves(one.provider, host, 443))


def test_who_extends_another_has_what_is_said_of_it_anywhere(tmp_path: Path) -> None:
    text = (
        '[providers.openai]\nadapters = ["merge_system"]\nbase_url = "https://mirror.example"\n'
        f'[providers.second]\nextends = "openai"\nrotation = "balanced"\n{CREDENTIALS}\n'
    )
    settings = loaded(tmp_path, text)
    second, first = named(settings, "second"), named(settings, "openai")
    assert second.provider.base_url == "https://mirror.example"
    assert second.provider.protocols == first.provider.protocols
    assert second.provider.adapters == first.provider.adapters
    assert facts_of(second.provider, "gpt-5").reasoning
    assert [one.name for one in second.credentials] == ["a"]


def test_calls_to_an_address_that_was_copied_stay_the_original_s(tmp_path: Path) -> None:
    """And no pool of another provider is the copy's."""
    settings = loaded(tmp_path, '[providers.second]\nextends = "openai"\n', OPENAI_API_KEY_1="sk-" + "1" * 20)
    second = named(settings, "second")
    assert (second.provider.hosts, second.provider.environment, second.credentials) == ((), "", ())
    assert owner(settings, "api.openai.com") == "openai"
    assert len(named(settings, "openai").credentials) == 1


def test_who_extends_another_with_an_address_of_its_own_gets_the_calls_to_that(tmp_path: Path) -> None:
    text = (
        '[providers.gate]\nextends = "anthropic"\nbase_url = "https://gate.example"\n'
        'hosts = ["other.example"]\nenvironment = "GATE_KEY"\nauth = "bearer"\n'
    )
    settings = loaded(tmp_path, text, GATE_KEY_1="sk-" + "1" * 20)
    gate = named(settings, "gate")
    assert [owner(settings, host) for host in ("gate.example", "other.example")] == ["gate", "gate"]
    assert owner(settings, "api.anthropic.com") == "anthropic"
    assert [one.name for one in gate.credentials] == ["GATE_KEY_1"]
    assert (gate.provider.auth, gate.provider.accepts) == (Carrier.BEARER, ())


def test_all_that_a_provider_s_file_says_can_be_said_in_the_config(tmp_path: Path) -> None:
    text = """
        [providers.acme]
        base_url = "https://acme.example"
        hosts = ["acme.example"]
        protocols = ["openai_chat"]
        accepts = ["x-api-key"]
        oauth_prefixes = ["tok-"]
        own_key_prefixes = []
        own_credential_paths = ["/me"]
        account_headers = ["x-team"]
        states_cost = true
        quota_check = { path = "/key", limits = [{ name = "credits", at = "data", used = "u" }] }
        [providers.acme.errors]
        codes = { broke = "quota" }
        phrases = { "no more" = "rate" }
        [providers.acme.protocol_errors.openai_chat]
        codes = { odd = "server", broke = "auth" }
        """
    one = named(loaded(tmp_path, text), "acme").provider
    assert (one.accepts, one.oauth_prefixes, one.own_key_prefixes) == ((Carrier.X_API_KEY,), ("tok-",), ())
    assert (one.own_credential_paths, one.account_headers) == (("/me",), ("x-team",))
    assert one.states_cost
    assert one.quota_check is not None
    assert (one.errors.codes["broke"], one.errors.codes["odd"]) == (Kind.QUOTA, Kind.SERVER)
    assert one.errors.codes["invalid_api_key"] is Kind.AUTH, "what holds for any"
    assert ("no more", Kind.RATE) in one.errors.phrases


def test_a_host_of_two_providers_is_a_warning(tmp_path: Path) -> None:
    other = ACME.replace("acme", "other").replace("a.example", "A.example")
    copied = '[providers.mine]\nextends = "openai"\nhosts = ["api.openai.com"]\n'
    found = [each for each in loaded(tmp_path, ACME + other + copied).warnings if "calls to it" in each]
    assert [each.partition(": give it")[0] for each in found] == [
        "providers.other.hosts: A.example: calls to it are those of acme",
        "providers.mine.hosts: api.openai.com: calls to it are those of openai",
    ]
    assert not loaded(tmp_path, ACME + '[providers.openai]\nhosts = ["api.openai.com"]\n').warnings


def test_a_check_of_quotas_says_what_is_different_of_a_built_in_one(tmp_path: Path) -> None:
    own = named(loaded(tmp_path, ""), "openrouter").provider.quota_check
    text = '[providers.openrouter.quota_check]\npath = "/api/v1/other"\n'
    one = named(loaded(tmp_path, text), "openrouter").provider.quota_check
    assert own is not None
    assert one is not None
    assert (one.path, one.limits) == ("/api/v1/other", own.limits)


ACME = (
    '[providers.acme]\nbase_url = "https://a.example"\nhosts = ["a.example"]\nprotocols = ["openai_chat"]\n'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[providers.a]\nextends = "opneai"',
            "providers.a.extends: no provider of that name: did you mean openai",
        ),
        ('[providers.a]\nextends = "a"', "providers.a.extends: goes in a circle, a -> a: let one of them"),
        (
            '[providers.b]\nextends = "a"\n[providers.a]\nextends = "b"',
            "providers.a.extends: goes in a circle, a -> b -> a",
        ),
        (
            '[providers.a]\nextends = "azure"',
            "providers.a.extends: names a provider without an address of its own",
        ),
        ('[providers.a]\nextends = "OpenAI"', "providers.a.extends: a provider's name is of small letters"),
        (
            ACME + 'environment = "OPENAI_API_KEY"',
            "providers.acme.environment: is the variable of openai, whose",
        ),
        (ACME + 'environment = "A-B"', "providers.acme.environment: must be the name of a variable"),
        (ACME + 'accepts = ["cookie"]', 'providers.acme.accepts[0]: must be "bearer", '),
        (ACME + 'errors = { codes = { a = "odd" } }', 'providers.acme.errors.codes.a: must be "request"'),
        (ACME + 'errors = { phrases = { "" = "auth" } }', 'providers.acme.errors.phrases."": is empty'),
        (ACME + "errors = { coeds = {} }", "providers.acme.errors.coeds: unknown name: did you mean codes?"),
        (
            ACME + "protocol_errors = { openai_chat = { kodes = {} } }",
            "providers.acme.protocol_errors.openai_chat.kodes: unknown name: did you mean codes?",
        ),
        (
            ACME + 'quota_check = { path = "/x" }',
            "providers.acme.quota_check: needs limits",
        ),
        *(
            (ACME + f"quota_check = {{ {said} }}", f"providers.acme.quota_check: {wrong}")
            for said, wrong in {
                'path = "@api.elsewhere.example/x", limits = []': "path must be a path such as /v1/usage",
                'path = "/x", limits = ["credits"]': "limits must be a list of tables",
                'path = "/x", limits = [{ at = "data" }]': "limits must have a name and a place (at)",
                'path = "/x", limits = [{ name = "a", at = "b", unit = "apples" }]': "limits unit must be",
                'path = "/x", limits = [{ name = "a", at = "b", scale = 1979-05-27 }]': "limits scale ",
                'path = "/x", limits = [{ name = "a", at = "b", scale = 0 }]': "limits scale must be",
                'path = "/x", limits = [{ name = "a", at = "b", null_is_spent = "" }]': "limits null_is",
                'path = "/x", limits = [], logins_only = "no"': "logins_only must be true or false",
                'paht = "/x"': "has an unknown name: known are path, limits",
            }.items()
        ),
        (
            ACME + "protocol_errors = { chta = { codes = {} } }",
            "providers.acme.protocol_errors.chta: no protocol",
        ),
        (
            ACME + 'errors = { headers = { "no colon" = "auth" } }',
            "providers.acme.errors: expected `name: value`",
        ),
        (ACME + "adapters = [5]", "providers.acme.adapters[0]: must be the name of an adapter, or a table"),
        *(
            (
                ACME + f'paths = {{ openai_chat = "{path}" }}',
                "providers.acme.paths.openai_chat: may have {model}",
            )
            for path in (r"/a\nb", r"/a\u0000", "/a b", "/a#b", "/caf\u00e9")
        ),
        (
            ACME + 'paths = { openai_chat = "/{project}" }',
            "providers.acme.paths.openai_chat: may have {model} and",
        ),
    ],
)
def test_nonsense_gets_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as found:
        loaded(tmp_path, text)
    (line,) = found.value.lines
    assert line.startswith(f"{tmp_path / 'rotator.toml'}: {expected}")


def test_what_is_wrong_with_the_original_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        loaded(tmp_path, ACME.replace("openai_chat", "telex") + '[providers.second]\nextends = "acme"\n')
    (line,) = found.value.lines
    assert "providers.acme.protocols[0]: no protocol of that name" in line
