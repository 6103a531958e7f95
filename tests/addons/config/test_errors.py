"""How errors in a config are reported: source, key and remedy, and never a secret."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from addons.config.settings import ConfigError, load

ADDRESS = "must be an address such as https://api.example.com, without user, query and fragment"
HOST = "must be a host such as api.example.com, *.example.com or localhost:8080, without https:// and path"
NOWHERE = (
    "would go to whatever host a client names: add providers.azure.base_url, "
    "or providers.azure.hosts without * and ?"
)
NEEDED = "must state base_url, hosts and protocols"
SECRETS = ("sk-ant-api03-Zq7", "AIzaSyB-4kTq", "0123456789abcdef0123456789abcdef", "hunter2")


def error_lines(folder: Path, text: str, **environ: str) -> list[str]:
    """The lines of the ConfigError over `text` as rotator.toml in `folder`, without the folder."""
    (folder / "rotator.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load("rotator.toml", environ, folder)
    assert str(raised.value) == "\n".join(raised.value.lines)
    return [each.removeprefix(f"{folder}/") for each in raised.value.lines]


def test_a_key_that_stands_where_a_name_belongs_is_not_shown(tmp_path: Path) -> None:
    text = '[providers."sk-Zq7kTq4mXv9pL2wN"]\n[providers.openai]\nsk-Zq7kTq4mXv9pL2wN = 1'
    lines = error_lines(tmp_path, text)
    assert any(line.startswith("rotator.toml: providers.openai.[redacted]: unknown name") for line in lines)
    assert not any("Zq7" in line for line in lines)


WORK = '{ name = "work", key = "env:WORK_KEY" }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[retry]\nmax_atempts = 1", "retry.max_atempts: unknown name: did you mean max_attempts?"),
        ("[provider.openai]", "provider: unknown name: did you mean providers?"),
        (
            "[trace]\nzzz = 1",
            (
                "trace.zzz: unknown name: known are directory, max_age, max_bytes, max_calls, signatures: "
                "take out what this version lacks"
            ),
        ),
        (
            '[providers.openai]\nbase_ulr = "x"',
            "providers.openai.base_ulr: unknown name: did you mean base_url?",
        ),
        (
            '[[routes]]\nmatch = { modell = "x" }',
            "routes[0].match.modell: unknown name: did you mean model?",
        ),
        ('[retry]\nmax_attempts = "3"', "retry.max_attempts: must be a whole number"),
        ("[retry]\nmax_attempts = true", "retry.max_attempts: must be a whole number"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts: must be at least 1"),
        ("[retry]\ndeadline = -1", "retry.deadline: must be at least 0"),
        ("retry = 3", "retry: must be a table"),
        ("[stream]", "stream: unknown name: did you mean streaming?"),
        (
            '[providers.openai]\ncredentials = "env:A"',
            f"providers.openai.credentials: must be a list of tables, such as [{WORK}]",
        ),
        (
            '[providers.openai]\napi_key = "env:A"',
            f"providers.openai.api_key: unknown name: write credentials = [{WORK}]",
        ),
        ("[routes]\nto = []", "routes: is a list of tables: begin each with [[routes]]"),
        (
            '[[routes]]\nmatch = "claude-*"',
            'routes[0].match: must be a table, such as { model = "claude-*" }',
        ),
        ('[streaming]\nstall_timeout = "1"', "streaming.stall_timeout: must be a number"),
        ("[streaming]\nstall_timeout = -0.5", "streaming.stall_timeout: must be at least 0"),
        (
            "[streaming]\nstall_timeout = nan",
            "streaming.stall_timeout: must be a finite number",
        ),
        (
            '[streaming]\non_truncation = "stop"',
            'streaming.on_truncation: must be "auto", "repair", "error" or "continue"',
        ),
        (
            "[[routes]]\n[[routes]]\nto = ['anthropc/claude']",
            "routes[1].to[0]: no provider of that name: did you mean anthropic?",
        ),
        ("[[routes]]\nto = ['openai/']", 'routes[0].to[0]: must be "provider" or "provider/model"'),
        ("[[routes]]\nto = ['/gpt']", 'routes[0].to[0]: must be "provider" or "provider/model"'),
        (
            "[[routes]]\nto = ['openai', 'azure/gpt']",
            "routes[0].to[1]: azure is elsewhere for each of its customers: add providers.azure.base_url",
        ),
        (
            "[[routes]]\nmatch = { provider = 'opena' }",
            "routes[0].match.provider: no provider of that name: did you mean openai?",
        ),
        (
            "[[routes]]\nmatch = { protocol = 'openai_chats' }",
            "routes[0].match.protocol: no protocol of that name: did you mean openai_chat?",
        ),
        (
            "[[routes]]\nprotocol = 'anthropic_message'",
            "routes[0].protocol: no protocol of that name: did you mean anthropic_messages?",
        ),
        (
            "[[routes]]\nto = ['anthropic', 'openai']\nprotocol = 'anthropic_messages'",
            (
                "routes[0].protocol: openai does not speak anthropic_messages: "
                "write one of openai_chat, openai_responses"
            ),
        ),
        (
            "[[routes]]\nadapters = ['merge_system', 'merge_sistem']",
            (
                "routes[0].adapters[1]: unknown adapter '...' (did you mean 'merge_system'?); known are "
                "anthropic_cache_breakpoints, clamp_params, drop_params, merge_system, override_model, "
                "reasoning_field, rename_field, strip_tool_types, suppress_developer_role: "
                "correct it or take it out"
            ),
        ),
        (
            "[providers.openai]\nadapters = [{ name = 'drop_params', param = ['x'] }]",
            (
                "providers.openai.adapters[0]: adapter 'drop_params': unknown option 'param' "
                "(did you mean 'params'?); its options are params: correct it or take it out"
            ),
        ),
        ("[[routes]]\nreport_model = 'mine'", 'routes[0].report_model: must be "client" or "upstream"'),
        ("[[routes]]\nnext_on_auth = 'yes'", "routes[0].next_on_auth: must be true or false"),
        ("[[routes]]\nhold_tool_calls = 'yes'", "routes[0].hold_tool_calls: must be true or false"),
        ("[streaming]\nhold_tool_calls = 'yes'", "streaming.hold_tool_calls: must be true or false"),
        (
            "[providers.openai.paths]\nopenai_chat = 'v1/chat'",
            (
                "providers.openai.paths.openai_chat: "
                "must be a path such as /v1/chat/completions, without a query"
            ),
        ),
        (
            "[providers.openai.paths]\nopenai_chatt = '/v1/chat'",
            "providers.openai.paths.openai_chatt: no protocol of that name: did you mean openai_chat?",
        ),
        (
            "[providers.openai]\nmax_tokens_field = 'max'",
            'providers.openai.max_tokens_field: must be "max_tokens" or "max_completion_tokens"',
        ),
        (
            "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A', max_concurrency = 0 }]",
            "providers.openai.credentials[0].max_concurrency: must be at least 1",
        ),
        (
            "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A', target_concurrency = 1.5 }]",
            "providers.openai.credentials[0].target_concurrency: must be a whole number",
        ),
        (
            "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A', weight = 0 }]",
            "providers.openai.credentials[0].weight: must be above 0",
        ),
        (
            "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A', cost_rank = -1 }]",
            "providers.openai.credentials[0].cost_rank: must be at least 0",
        ),
        (
            "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A', models = ['gpt-5*', '!'] }]",
            (
                "providers.openai.credentials[0].models[1]: must be a glob over names of models "
                "such as gpt-5*, or !*-pro for none of these"
            ),
        ),
        (
            "[providers.openai]\nrotation = 'random'",
            (
                'providers.openai.rotation: must be "sequential", "round_robin", "balanced", "weighted" '
                'or "cheapest"'
            ),
        ),
        (
            "[providers.openai]\ncredentials = ['env:KEY_A']",
            "providers.openai.credentials[0]: must be a table, such as " + WORK,
        ),
        (
            "[providers.openai]\ncredentials = [{ key = 'env:KEY_A' }]",
            "providers.openai.credentials[0].name: is missing: give the credential a name",
        ),
        (
            (
                "[providers.openai]\n"
                "credentials = [{ name = 'a', key = 'env:KEY_A' }, { name = 'a', key = 'env:KEY_A' }]"
            ),
            "providers.openai.credentials[1].name: is taken: give each credential of a provider its own name",
        ),
        (
            '[providers.openai]\nprotocols = ["openai_chats"]',
            "providers.openai.protocols[0]: no protocol of that name: did you mean openai_chat?",
        ),
        (
            '[providers.openai]\nhosts = ["https://api.openai.com"]',
            "providers.openai.hosts[0]: " + HOST,
        ),
        (
            '[providers.openai]\nhosts = ["*.*:443"]',
            "providers.openai.hosts[0]: " + HOST,
        ),
        (
            '[providers.openai]\nbase_url = "https://user:hunter2@api.example.com"',
            "providers.openai.base_url: " + ADDRESS,
        ),
        (
            '[providers.openai]\nbase_url = "https://api.example.com:port"',
            "providers.openai.base_url: " + ADDRESS,
        ),
        (
            '[providers.azure]\ncredentials = [{ name = "a", key = "env:KEY_A" }]',
            "providers.azure.credentials: " + NOWHERE,
        ),
        (
            """
            [providers.azure]
            hosts = ["a.example.com", "*.example.com"]
            credentials = [{ name = "a", key = "env:KEY_A" }]
            """,
            "providers.azure.credentials: " + NOWHERE,
        ),
        (
            '[upstream]\nproxy = "user:hunter2@proxy"',
            "upstream.proxy: must be an address such as http://proxy.example.com:3128, or empty for none",
        ),
        (
            '[providers.mine]\nbase_url = "http://127.0.0.1:1"',
            f"providers.mine: is not built in (did you mean gemini?) and {NEEDED}: add hosts, protocols",
        ),
        (
            '[providers.opnai]\nhosts = ["a.example.com"]',
            (
                "providers.opnai: is not built in (did you mean openai?) "
                f"and {NEEDED}: add base_url, protocols"
            ),
        ),
        (
            '[providers.OpenAI]\nhosts = ["a.example.com"]',
            "providers.OpenAI: a provider's name is of small letters and digits, with - . _ between them",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(tmp_path: Path, text: str, message: str) -> None:
    assert error_lines(tmp_path, text, KEY_A="key-a") == [f"rotator.toml: {message}"]


def test_all_faults_are_reported_at_once_and_each_once(tmp_path: Path) -> None:
    text = """
        [retry]
        max_attempts = 0
        deadlin = 3
        [streaming]
        stall_timeout = "x"
        [providers.mine]
        base_url = "nowhere"
        hosts = ["a b", "c d"]
        protocols = ["openai_chat"]
        credentials = [{ name = "", key = "env:ABSENT", odd = 1 }, { name = 3, key = "hunter2" }]
        """
    assert [re.sub(r"^(.*?): (.*?): .*", r"\1 \2", each) for each in error_lines(tmp_path, text)] == [
        "rotator.toml providers.mine.base_url",
        "rotator.toml providers.mine.hosts[0]",
        "rotator.toml providers.mine.hosts[1]",
        "rotator.toml providers.mine.credentials[0].name",
        "rotator.toml providers.mine.credentials[0].odd",
        "rotator.toml providers.mine.credentials[1].name",
        "rotator.toml retry.max_attempts",
        "rotator.toml retry.deadlin",
        "rotator.toml streaming.stall_timeout",
        "rotator.toml providers.mine.credentials[0].key",
        "rotator.toml providers.mine.credentials[1].key",
    ]


def test_faults_of_file_and_environment_are_reported_together(tmp_path: Path) -> None:
    assert error_lines(tmp_path, "[retry]\nmax_attempts = 0", ROTATOR__RETRY__DEADLINE="-1") == [
        "rotator.toml: retry.max_attempts: must be at least 1",
        "environment variable ROTATOR__RETRY__DEADLINE: retry.deadline: must be at least 0",
    ]


PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": s}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"env:{s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"file:{s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"file:secrets/{s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"cmd:/absent {s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"cmd:{s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": f"literal:{s}"}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": 1, "key": s}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": "a", "key": [s]}]}}},
    lambda s: {"providers": {"openai": {"credentials": [{"name": s, "key": s}, {"name": s, "key": s}]}}},
    lambda s: {"providers": {"openai": {"credentials": [s]}}},
    lambda s: {"providers": {"openai": {"credentials": s}}},
    lambda s: {"providers": {"openai": {"base_url": f"https://x:{s}@host"}}},
    lambda s: {"providers": {"openai": {"base_url": f"https://[{s}"}}},
    lambda s: {"providers": {"openai": {"hosts": [f"{s}/"], "protocols": [s], "auth": s, "rotation": s}}},
    lambda s: {"providers": {"openai": s}},
    lambda s: {"retry": {"max_attempts": s, "deadline": s}},
    lambda s: {"streaming": {"on_truncation": s}},
    lambda s: {"upstream": {"proxy": f"ftp://{s}"}},
    lambda s: {"routes": [{"to": [s], "hold_tool_calls": s}]},
    lambda s: {"routes": [{"to": [f"openai/{s}", f"{s}/{s}"], "match": {"provider": s}}]},
    lambda s: {"routes": [{"protocol": s, "match": {"protocol": s}, "report_model": s}]},
    lambda s: {"routes": [{"adapters": [s, {"name": s}, {"name": "drop_params", "x": s}]}]},
    lambda s: {"routes": [{"adapters": [{"name": "clamp_params", "x": {"min": s}}, {"to": [s]}]}]},
    lambda s: {"providers": {"openai": {"paths": {"openai_chat": s}, "max_tokens_field": s}}},
    lambda s: {"providers": {"openai": {"adapters": [{"name": "reasoning_field", "to": s}]}}},
    lambda s: {"providers": {"openai": {"models": [{"match": s, "protocol": s, "thinking": s}]}}},
    lambda s: {"providers": {"openai": {"models": [{"match": s, "adapters": [s], "refuses": [f"{s}."]}]}}},
    lambda s: {"providers": {"openai": {"models": [{"match": "a", "timeouts": {"stall_timeout": s}}]}}},
    lambda s: {"providers": {"mine": {"extends": s}}},
    lambda s: {"providers": {"openai": {"environment": f"{s}-", "accepts": [s], "quota_check": {"path": s}}}},
    lambda s: {"providers": {"openai": {"errors": {"codes": {"a": s}}, "own_key_prefixes": [s, 1]}}},
    lambda s: {s * 5: 1},
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_repeated(tmp_path: Path, place: Callable[[str], dict[str, Any]], secret: str) -> None:
    tree = place(secret)
    (tmp_path / "rotator.json").write_text(json.dumps(tree))
    with pytest.raises(ConfigError) as from_file:
        load("", {}, tmp_path)
    (tmp_path / "rotator.json").unlink()
    variables = {f"ROTATOR__{name.upper()}": json.dumps(value) for name, value in tree.items() if value != 1}
    assert secret not in str(from_file.value)
    assert from_file.value.__cause__ is None
    if variables:
        with pytest.raises(ConfigError) as from_environment:
            load("", variables, tmp_path)
        assert secret not in str(from_environment.value)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_repeated_from_a_file_that_cannot_be_parsed(tmp_path: Path, secret: str) -> None:
    for text in (f'key = "{secret}', f"key = {secret} x", f"[{secret} x]", f'key = "{secret}\\q"'):
        assert secret not in "".join(error_lines(tmp_path, text))
