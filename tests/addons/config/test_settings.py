"""Settings: what files and the environment come to, and how errors in them are reported."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from platformdirs import user_config_path

from addons.config.providers import Configured
from addons.config.settings import ConfigError, Settings, load, load_again, watched
from addons.config.tables import (
    CapsTable,
    CredentialTable,
    DeadlineMatchTable,
    DeadlineTable,
    MatchTable,
    ModelTable,
    ProviderTable,
    RetryTable,
    RouteTable,
    StreamingTable,
    Table,
    Tables,
    TraceTable,
    UpstreamTable,
    WindowTable,
)
from addons.config.tracing import Bounds as TraceBounds
from addons.config.tracing import Tracing
from protocols.registry import discover as protocols
from rewrite.adapters import registry
from rewrite.catalog.providers import Carrier, Rotation, WebSocket
from rewrite.catalog.routes import Match, Rule, RuleTarget
from rewrite.credentials.credential import Credential, ModelFilter
from rewrite.values.timeouts import Deadlines, Limits, OnTruncation, Timeouts

ROOT = Path(__file__).parents[3]
CUSTOM = """
[providers.mine]
base_url = "http://127.0.0.1:9000/"
hosts = ["llm.example.com"]
protocols = ["openai_chat"]
"""

BUILT_IN = sorted(file.stem for file in (ROOT / "rewrite/catalog/provider_data").glob("[!_]*.toml"))

type Load = Callable[..., Settings]


LONG = "a-key-of-16-characters"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration: the folder that theirs would be in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    folder = user_config_path("rotator", appauthor=False)
    assert folder.is_relative_to(tmp_path)
    return folder


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "cwd"
    folder.mkdir()
    return folder


@pytest.fixture
def toml(cwd: Path) -> Load:
    """Loads a text as ./rotator.toml, with variables by keyword."""

    def load_text(text: str, **environ: str) -> Settings:
        (cwd / "rotator.toml").write_text(text)
        return load("", environ, cwd)

    return load_text


def error_lines(act: Callable[[], object]) -> list[str]:
    """The lines of the ConfigError that `act` raises, without the folders of its paths."""
    with pytest.raises(ConfigError) as raised:
        act()
    assert str(raised.value) == "\n".join(raised.value.lines)
    return [re.sub(r"\S*/(?=rotator\.)", "", each) for each in raised.value.lines]


def named(settings: Settings, name: str) -> Configured:
    return next(one for one in settings.providers if one.provider.name == name)


def pool(settings: Settings, name: str) -> list[tuple[str, str, int]]:
    return [
        (c.name, c.secret.get_secret_value(), c.credential.priority)
        for c in named(settings, name).credentials
    ]


# Where settings come from


def test_with_nothing_said_the_defaults_hold(cwd: Path) -> None:
    settings = load("", {}, cwd)
    assert [one.provider.name for one in settings.providers] == BUILT_IN
    assert not any(one.credentials or one.provider.adapters for one in settings.providers)
    assert settings.rules == ()
    assert (settings.limits, settings.timeouts) == (Limits(), Timeouts())
    assert (settings.on_truncation, settings.upstream_proxy) == (OnTruncation.AUTO, "")
    assert (settings.warnings, settings.source) == ((), None)
    measured = ["claude", "codex", "gemini-cli", "opencode"]
    assert [client.name for client in settings.clients] == [*measured, "antigravity", "copilot-chat"]


def test_the_search_order(cwd: Path, home: Path) -> None:
    home.mkdir(parents=True)
    places = [home / "rotator.toml", cwd / "rotator.json", cwd / "rotator.toml", cwd / "else.conf"]
    for attempts, place in enumerate(places, start=4):
        data = {"retry": {"max_attempts": attempts}}
        place.write_text(json.dumps(data) if place.suffix == ".json" else f"retry.max_attempts = {attempts}")
        settings = load("else.conf" if place.suffix == ".conf" else "", {}, cwd)
        assert (settings.source, settings.limits.max_attempts) == (place, attempts)
        assert place in watched(settings)


def test_what_was_read_at_the_start_is_what_is_watched_and_read_again(cwd: Path, home: Path) -> None:
    """A file that comes to be in the folder later is not looked at, though it would have been read first."""
    assert watched(load("", {}, cwd)) == ()
    home.mkdir(parents=True)
    (home / "rotator.toml").write_text("retry.max_attempts = 4")
    theirs = load("", {}, cwd)
    assert watched(theirs) == (home / "rotator.toml",)
    (cwd / "rotator.toml").write_text("retry.max_attempts = 9")
    assert load_again(theirs, {}, cwd).limits.max_attempts == 4
    (home / "rotator.toml").unlink()
    assert error_lines(lambda: load_again(theirs, {}, cwd)) == [
        "rotator.toml: is gone: put it back, or restart without it"
    ]


def test_a_file_that_is_empty_while_it_is_saved_takes_no_pool_away(cwd: Path) -> None:
    config = cwd / "rotator.toml"
    config.write_text("retry.max_attempts = 4")
    settings = load("", {}, cwd)
    config.write_text("")
    assert error_lines(lambda: load_again(settings, {}, cwd)) == [
        "rotator.toml: is empty: write the config, or restart to continue without one"
    ]
    config.write_text("# nothing is set")
    assert load_again(settings, {}, cwd).limits == Limits()


def test_a_start_without_a_file_stays_without_one(cwd: Path) -> None:
    without = load("", {}, cwd)
    (cwd / "rotator.toml").write_text("retry.max_attempts = 9")
    again = load_again(without, {}, cwd)
    assert (again.source, again.limits) == (None, Limits())


def test_a_file_that_others_may_write_is_refused(cwd: Path) -> None:
    config = cwd / "rotator.toml"
    config.write_text("retry.max_attempts = 4")
    settings = load("", {}, cwd)
    config.chmod(0o664)
    assert error_lines(lambda: load("", {}, cwd)) == [
        "rotator.toml: can be written by other users (mode 664): chmod go-w rotator.toml"
    ]
    with pytest.raises(ConfigError):
        load_again(settings, {}, cwd)
    config.chmod(0o644)
    assert load_again(settings, {}, cwd).limits.max_attempts == 4


def test_a_file_of_the_option_must_exist(cwd: Path) -> None:
    (cwd / "rotator.toml").write_text("")
    with pytest.raises(ConfigError) as raised:
        load("absent.toml", {}, cwd)
    path = cwd / "absent.toml"
    assert raised.value.lines == (
        f"{path}: cannot be read (No such file or directory): create it or correct its path",
    )


def test_a_file_that_is_there_and_cannot_be_read_is_not_skipped(cwd: Path) -> None:
    (cwd / "rotator.toml").mkdir()
    assert error_lines(lambda: load("", {}, cwd)) == [
        "rotator.toml: cannot be read (Is a directory): create it or correct its path"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "rotator.toml",
            b"[retry]\nmax_attempts = \n",
            "rotator.toml: is not valid TOML: Invalid value (at line 2, column 16): correct it there",
        ),
        (
            "rotator.json",
            b'{\n"retry": }',
            "rotator.json: is not valid JSON: Expecting value: line 2 column 10 (char 11): correct it there",
        ),
        ("rotator.json", b"[1]", "rotator.json: must hold a table: begin it with {"),
        ("rotator.toml", b"a = '\xff'", "rotator.toml: is not UTF-8 text: save it as that"),
    ],
)
def test_a_file_that_is_not_of_its_form(cwd: Path, name: str, content: bytes, message: str) -> None:
    (cwd / name).write_bytes(content)
    assert error_lines(lambda: load("", {}, cwd)) == [message]


def test_json_says_the_same_as_toml(cwd: Path) -> None:
    path = cwd / "conf.json"
    path.write_text(json.dumps({"streaming": {"stall_timeout": 7, "on_truncation": "repair"}}))
    settings = load(str(path), {}, cwd)
    assert settings.timeouts == Timeouts(stall=7.0)
    assert settings.on_truncation is OnTruncation.REPAIR


# What the names come to


def test_an_answer_is_continued_as_often_as_the_config_says(toml: Load) -> None:
    assert [toml(text).continuations for text in ("", "[streaming]\ncontinuation_attempts = 1")] == [3, 1]


def test_calls_are_held_where_the_config_says_so(toml: Load) -> None:
    assert not toml("").hold_tool_calls
    settings = toml("[streaming]\nhold_tool_calls = true\n[[routes]]\nhold_tool_calls = false\n[[routes]]")
    assert settings.hold_tool_calls
    assert [rule.hold_tool_calls for rule in settings.rules] == [False, None]


def test_every_timeout_reaches_its_place(toml: Load) -> None:
    settings = toml(
        """
        [streaming]
        connect_timeout = 1
        first_event_timeout = 2.5
        first_token_timeout = 3
        slow_start_timeout = 4
        hold_limit = 5
        stall_timeout = 0
        response_timeout = 7
        heartbeat_interval = 8
        min_throughput = 9
        throughput_window = 10.5
        heartbeat_before_commit = true
        [retry]
        max_attempts = 1
        deadline = 0
        [limits]
        body = 1000
        [upstream]
        proxy = "http://user:hunter2@proxy.example.com:3128"
        """
    )
    assert settings.timeouts == Timeouts(
        1.0, 2.5, 3.0, 4.0, 5.0, 0.0, 7.0, 8.0, 9.0, 10.5, heartbeat_before_commit=True
    )
    assert settings.limits == Limits(1, 0.0, 1000)
    assert settings.upstream_proxy == "http://user:hunter2@proxy.example.com:3128"
    assert "hunter2" not in repr(settings)


def test_a_built_in_provider_may_be_overridden_in_each_name(toml: Load) -> None:
    settings = toml(
        """
        [providers.openai]
        base_url = "http://127.0.0.1:9000/gateway/"
        hosts = ["api.openai.com", "127.0.0.1:9000"]
        protocols = ["openai_chat"]
        auth = "api-key"
        rotation = "round_robin"
        replace_oauth = true
        spread_subagents = true
        websocket = "bridge"
        """
    )
    provider = named(settings, "openai").provider
    assert provider.base_url == "http://127.0.0.1:9000/gateway"
    assert provider.hosts == ("api.openai.com", "127.0.0.1:9000")
    assert (provider.protocols, provider.auth, provider.accepts) == (("openai_chat",), Carrier.API_KEY, ())
    assert (provider.rotation, provider.replace_oauth) == (Rotation.ROUND_ROBIN, True)
    assert provider.spread_subagents
    assert provider.websocket is WebSocket.BRIDGE
    assert named(settings, "chatgpt").provider.websocket is WebSocket.REFUSE
    assert (provider.models, provider.environment) != ((), "")
    assert named(settings, "anthropic").provider.base_url == "https://api.anthropic.com"


def test_the_forms_a_built_in_provider_takes_besides_stay_with_its_own_form(toml: Load) -> None:
    settings = toml('[providers.anthropic]\nauth = "x-api-key"')
    assert named(settings, "anthropic").provider.accepts == (Carrier.X_API_KEY, Carrier.BEARER)


def test_a_custom_provider_comes_before_the_built_in_ones(toml: Load) -> None:
    settings = toml('[providers.openai]\nhosts = ["a.example.com"]\n' + CUSTOM)
    assert [one.provider.name for one in settings.providers] == ["mine", *BUILT_IN]
    provider = named(settings, "mine").provider
    assert (provider.base_url, provider.auth, provider.environment) == (
        "http://127.0.0.1:9000",
        Carrier.BEARER,
        "",
    )
    assert provider.errors.codes["overloaded_error"] == "server"


# Routes


def test_a_route_reaches_its_place(toml: Load) -> None:
    settings = toml(
        """
        [[routes]]
        match = { model = "claude-*", provider = "anth*", protocol = "claude*", path = "/v1/*" }
        to = ["anthropic", "openrouter/anthropic/claude-sonnet-4.5", "mine/m"]
        protocol = "openai_chat"
        adapters = ["suppress_developer_role", { name = "drop_params", params = ["seed"] }]
        on_truncation = "error"
        next_on_auth = true
        report_model = "upstream"
        [[routes]]
        match.header = { x-app = "cli" }
        """.replace('"anthropic", ', "")
        + CUSTOM
    )
    first, second = settings.rules
    assert first.match == Match("claude-*", "anth*", "claude*", "/v1/*")
    assert first.to == (
        RuleTarget("openrouter", "anthropic/claude-sonnet-4.5"),
        RuleTarget("mine", "m"),
    )
    assert (first.protocol, first.on_truncation) == ("openai_chat", OnTruncation.ERROR)
    assert [adapter.name for adapter in first.adapters] == ["suppress_developer_role", "drop_params"]
    assert (first.next_on_auth, first.upstream_model) == (True, True)
    assert second == Rule(Match(headers={"x-app": "cli"}))
    assert all("has no credentials" in each for each in settings.warnings)


@pytest.mark.parametrize("alias", ["openai_chat", "chat"])
def test_an_alias_of_a_protocol_is_as_good_as_its_name(toml: Load, alias: str) -> None:
    settings = toml(
        f"""
        [[routes]]
        match.protocol = "{alias}"
        protocol = "{alias}"
        [providers.openai]
        protocols = ["{alias}"]
        paths = {{ {alias} = "/chat" }}
        """
    )
    assert (settings.rules[0].match.protocol, settings.rules[0].protocol) == ("openai_chat", "openai_chat")
    provider = named(settings, "openai").provider
    assert (provider.protocols, provider.paths["openai_chat"]) == (("openai_chat",), "/chat")


def test_a_provider_says_its_own_paths_adapters_and_limit(toml: Load) -> None:
    one = named(
        toml(
            """
            [providers.openai]
            paths = { openai_chat = "/chat" }
            max_tokens_field = "max_completion_tokens"
            adapters = [{ name = "override_model", model = "m" }]
            """
        ),
        "openai",
    )
    assert (one.provider.paths["openai_chat"], one.provider.max_tokens_field) == (
        "/chat",
        "max_completion_tokens",
    )
    assert one.provider.paths["openai_responses"] == "/v1/responses"
    assert [adapter.name for adapter in one.provider.adapters] == ["override_model"]


# The environment


def test_the_environment_overrides_the_file(toml: Load) -> None:
    settings = toml(
        "[streaming]\nfirst_token_timeout = 60\nstall_timeout = 7" + CUSTOM,
        ROTATOR__STREAMING__FIRST_TOKEN_TIMEOUT="5",
        rotator__retry__Max_Attempts="2",
        ROTATOR__PROVIDERS__OPENAI__BASE_URL="http://127.0.0.1:1",
        ROTATOR__PROVIDERS__OPENAI__REPLACE_OAUTH="true",
        ROTATOR__PROVIDERS__MINE__HOSTS='["b.example.com"]',
        ROTATOR__UPSTREAM='{"proxy": "http://127.0.0.1:2"}',
    )
    assert settings.timeouts == Timeouts(first_token=5.0, stall=7.0)
    assert settings.limits == Limits(max_attempts=2)
    assert named(settings, "openai").provider.base_url == "http://127.0.0.1:1"
    assert named(settings, "openai").provider.replace_oauth
    assert named(settings, "mine").provider.hosts == ("b.example.com",)
    assert settings.upstream_proxy == "http://127.0.0.1:2"


def test_the_environment_alone_can_make_a_provider_and_a_pool(cwd: Path) -> None:
    environ = {
        "ROTATOR__PROVIDERS__MINE__BASE_URL": "http://127.0.0.1:1",
        "ROTATOR__PROVIDERS__MINE__HOSTS": '["127.0.0.1"]',
        "ROTATOR__PROVIDERS__MINE__PROTOCOLS": '["openai_chat"]',
        "ROTATOR__PROVIDERS__MINE__CREDENTIALS": '[{"name": "a", "key": "env:KEY_A"}]',
        "KEY_A": "key-a",
    }
    assert pool(load("", environ, cwd), "mine") == [("a", "key-a", 1)]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"ROTATOR__RETRY__MAX_ATTEMPTS": "many"},
            "environment variable ROTATOR__RETRY__MAX_ATTEMPTS: retry.max_attempts: must be a whole number",
        ),
        (
            {"rotator__retry__max_attempts": "0"},
            "environment variable rotator__retry__max_attempts: retry.max_attempts: must be at least 1",
        ),
        (
            {"ROTATOR__RETRY": "hunter2"},
            "environment variable ROTATOR__RETRY: retry: must be a table",
        ),
        (
            {"ROTATOR__PROVIDERS__OPENAI__HOSTS": "a.example.com"},
            (
                "environment variable ROTATOR__PROVIDERS__OPENAI__HOSTS: providers.openai.hosts: "
                'must be a list, such as ["one", "two"]'
            ),
        ),
        (
            {"ROTATOR__STREEMING__STALL_TIMEOUT": "3"},
            (
                "environment variable ROTATOR__STREEMING__STALL_TIMEOUT: streeming: "
                "unknown name: did you mean streaming?"
            ),
        ),
        (
            {"ROTATOR__STREAMING__STAL_TIMEOUT": "3"},
            (
                "environment variable ROTATOR__STREAMING__STAL_TIMEOUT: streaming.stal_timeout: "
                "unknown name: did you mean stall_timeout?"
            ),
        ),
        (
            {"ROTATOR__PROVIDERS__OPENAI__CREDENTIALS": '[{"name": "a", "key": "hunter2"}]'},
            (
                "environment variable ROTATOR__PROVIDERS__OPENAI__CREDENTIALS: "
                "providers.openai.credentials[0].key: "
                "a literal secret in the file is refused: write env:NAME, file:PATH or cmd:COMMAND"
            ),
        ),
        (
            {"ROTATOR__PROVIDERS__MINE__BASE_URL": "http://127.0.0.1:1"},
            (
                "environment: providers.mine: is not built in (did you mean gemini?) and must state "
                "base_url, hosts and protocols: add hosts, protocols"
            ),
        ),
    ],
)
def test_a_variable_that_is_wrong_is_named(cwd: Path, environ: Mapping[str, str], message: str) -> None:
    assert error_lines(lambda: load("", environ, cwd)) == [message]


# Keys


def test_keys_come_from_variables_files_and_commands(cwd: Path, tmp_path: Path) -> None:
    (cwd / "secrets").mkdir()
    (cwd / "secrets/spare").write_text("key-of-file\n")
    (tmp_path / "absolute").write_text("key-of-absolute")
    (cwd / "tell.py").write_text("import os; print('key-of-' + os.environ['WHO'])")
    path = cwd / "conf.toml"
    path.write_text(
        f"""
        [providers.openai]
        credentials = [
          {{ name = "variable", key = "env:WORK_KEY", priority = 3 }},
          {{ name = "file", key = "file:secrets/spare", priority = 2 }},
          {{ name = "absolute", key = "file:{tmp_path}/absolute" }},
          {{ name = "command", key = "cmd:'{sys.executable}' tell.py" }},
        ]
        """
    )
    settings = load(str(path), {"WORK_KEY": " key-of-variable ", "WHO": "command"}, tmp_path)
    assert pool(settings, "openai") == [
        ("variable", "key-of-variable", 3),
        ("file", "key-of-file", 2),
        ("absolute", "key-of-absolute", 1),
        ("command", "key-of-command", 1),
    ]
    assert {c.credential.provider for c in named(settings, "openai").credentials} == {"openai"}
    assert watched(settings) == (path, cwd / "secrets/spare", tmp_path / "absolute")
    assert "key-of" not in repr(settings)


# Numbered keys


def test_numbered_variables_make_a_pool(cwd: Path) -> None:
    environ = {
        "OPENAI_API_KEY": "the-clients-own",
        "OPENAI_API_KEY_10": "ten",
        "OPENAI_API_KEY_2": "two",
        "OPENAI_API_KEY_3": "",
        "OPENAI_API_KEY_02": "odd",
        "OPENAI_API_KEY_X": "odd",
        "ANTHROPIC_API_KEY_1": "one",
        "MY_OPENAI_API_KEY_1": "odd",
    }
    settings = load("", environ, cwd)
    assert pool(settings, "openai") == [("OPENAI_API_KEY_2", "two", 1), ("OPENAI_API_KEY_10", "ten", 1)]
    assert pool(settings, "anthropic") == [("ANTHROPIC_API_KEY_1", "one", 1)]


def test_short_keys_are_named_once(cwd: Path) -> None:
    """Answers are not searched for them, which its user has to know where one is a secret."""
    names = {"OPENAI_API_KEY_1": "EMPTY", "OPENAI_API_KEY_2": "a" * 16, "GROQ_API_KEY_1": "a" * 15}
    (line,) = load("", names, cwd).warnings
    assert line.startswith("keys: groq/GROQ_API_KEY_1, openai/OPENAI_API_KEY_1: shorter than 16 characters")


def test_credentials_of_the_file_win_over_numbered_variables(toml: Load, cwd: Path) -> None:
    text = "[providers.openai]\ncredentials = [{ name = 'a', key = 'env:KEY_A' }]"
    settings = toml(
        text, KEY_A=LONG, OPENAI_API_KEY_1="one", OPENAI_API_KEY_2="two", ANTHROPIC_API_KEY_1=LONG
    )
    assert pool(settings, "openai") == [("a", LONG, 1)]
    assert pool(settings, "anthropic") == [("ANTHROPIC_API_KEY_1", LONG, 1)]
    assert settings.warnings == (
        (
            "environment: OPENAI_API_KEY_1, OPENAI_API_KEY_2: ignored, "
            f"since {cwd}/rotator.toml lists credentials"
        ),
    )


def test_a_numbered_variable_that_the_file_names_is_not_ignored(toml: Load) -> None:
    text = '[providers.openai]\ncredentials = [{ name = "one", key = "env:OPENAI_API_KEY_1" }]\n'
    assert toml(text, OPENAI_API_KEY_1=LONG).warnings == ()
    (warning,) = toml(text, OPENAI_API_KEY_1=LONG, OPENAI_API_KEY_2=LONG).warnings
    assert warning.startswith("environment: OPENAI_API_KEY_2: ignored")


def test_a_numbered_key_that_cannot_be_used_is_named(cwd: Path) -> None:
    assert error_lines(lambda: load("", {"OPENAI_API_KEY_1": "hunter2 hunter2"}, cwd)) == [
        (
            "environment variable OPENAI_API_KEY_1: the key in it has white space or "
            "characters other than ASCII inside: leave nothing there but the key"
        )
    ]


# What a credential may serve


def test_what_the_config_says_of_a_credential(toml: Load) -> None:
    settings = toml(
        "[providers.openai]\n"
        'rotation = "weighted"\n'
        'credentials = [{ name = "a", key = "env:KEY_A", weight = 3, cost_rank = 1.5, max_concurrency = 4, '
        'target_concurrency = 2, models = ["gpt-5*", "!*-pro"] }]',
        KEY_A=LONG,
    )
    configured = named(settings, "openai")
    assert configured.provider.rotation is Rotation.WEIGHTED
    assert [one.credential for one in configured.credentials] == [
        Credential("a", "openai", 1, 3.0, 1.5, 4, 2, ModelFilter(("gpt-5*",), ("*-pro",)))
    ]


# Traces


@pytest.mark.parametrize(
    ("directory", "folder"),
    [("traces", "{cwd}/traces"), ("/var/traces", "/var/traces"), ("", None)],
)
def test_traces_go_to_a_folder_beside_the_config(
    toml: Load, cwd: Path, directory: str, folder: str | None
) -> None:
    settings = toml(f'[trace]\ndirectory = "{directory}"')
    assert settings.trace == Tracing(Path(folder.format(cwd=cwd)) if folder else None)
    assert settings.warnings == ()


def test_traces_of_a_variable_go_where_the_proxy_runs(cwd: Path) -> None:
    assert load("", {"ROTATOR__TRACE__DIRECTORY": "traces"}, cwd).trace.directory == cwd / "traces"


def test_what_is_kept_of_traces(toml: Load) -> None:
    settings = toml("[trace]\nsignatures = true\nmax_calls = 5\nmax_age = 60")
    assert settings.trace == Tracing(None, signatures=True, bounds=TraceBounds(max_calls=5, max_age=60.0))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_bytes = 9", "max_bytes: must be at least 65536"),
        ("max_calls = 0", "max_calls: must be at least 1"),
        ("max_age = 0", "max_age: must be at least 1"),
        ('signatures = "yes"', "signatures: must be "),
    ],
)
def test_what_cannot_be_kept_of_traces(toml: Load, line: str, message: str) -> None:
    (found,) = error_lines(lambda: toml(f"[trace]\n{line}"))
    assert found.startswith(f"rotator.toml: trace.{message}")


@pytest.mark.parametrize(("said", "expected"), [("", None), ("trace = true", True), ("trace = false", False)])
def test_a_route_says_whether_it_is_traced(toml: Load, said: str, expected: bool | None) -> None:
    (rule,) = toml(f'[[routes]]\nmatch = {{ model = "gpt-*" }}\n{said}').rules
    assert rule.trace is expected


def test_a_folder_of_no_path_is_refused(toml: Load) -> None:
    assert error_lines(lambda: toml('[trace]\ndirectory = "a\\u0000b"')) == [
        "rotator.toml: trace.directory: must be the path of a folder"
    ]


# Deadlines


def test_deadlines_are_read_in_order(toml: Load) -> None:
    settings = toml(
        """
        [[deadlines]]
        match = { provider = "openai", model = "gpt-5*", reasoning = "xhigh" }
        first_event_timeout = 1
        first_token_timeout = 2.5
        slow_start_timeout = 3
        stall_timeout = 0
        response_timeout = 5
        [[deadlines]]
        """
    )
    seconds = {"first_event": 1.0, "first_token": 2.5, "slow_start": 3.0, "stall": 0.0, "response": 5.0}
    assert settings.deadlines == (Deadlines("openai", "gpt-5*", "xhigh", seconds), Deadlines())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('match = { reasoning = "hihg" }', 'match.reasoning: must be "none", "minimal"'),
        ('match = { modle = "m" }', "match.modle: unknown name: did you mean model?"),
        ('match = { provider = "opnai" }', "match.provider: "),
        ("hold_limit = 3", "hold_limit: unknown name: known are "),
        ("first_token_timeout = -1", "first_token_timeout: must be at least 0"),
        ('stall_timeout = "long"', "stall_timeout: must be a number"),
    ],
)
def test_errors_in_deadlines_name_their_place(toml: Load, table: str, message: str) -> None:
    (line,) = error_lines(lambda: toml(f"[[deadlines]]\n{table}\n"))
    assert line.startswith(f"rotator.toml: deadlines[0].{message}")


# Browsers


def test_pages_that_may_use_the_pools(toml: Load) -> None:
    settings = toml('[browsers]\nallow = ["https://App.example.com", "vscode-webview://a1"]')
    assert settings.browsers == {"https://app.example.com", "vscode-webview://a1"}


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example.com", "https://a.example/", "https://*.example"]
)
def test_what_is_no_page(toml: Load, origin: str) -> None:
    (line,) = error_lines(lambda: toml(f'[browsers]\nallow = ["{origin}"]'))
    assert "browsers.allow[0]: must be the origin of a page" in line


# The example


EXAMPLE_KEYS = ("WORK_KEY", "SPARE_KEY", "SHARED_KEY", "GATEWAY_KEY")


def test_the_example_is_valid_and_says_the_defaults(cwd: Path) -> None:
    settings = load(str(ROOT / "rotator.example.toml"), dict.fromkeys(EXAMPLE_KEYS, LONG), cwd)
    assert pool(settings, "openai") == [("work", LONG, 1), ("spare", LONG, 2), ("shared", LONG, 3)]
    assert named(settings, "gateway").provider.base_url == "https://gateway.example.com/openai"
    assert (settings.limits, settings.timeouts) == (Limits(), Timeouts())
    assert (settings.on_truncation, settings.upstream_proxy, settings.warnings) == (OnTruncation.AUTO, "", ())
    assert not settings.hold_tool_calls


@pytest.mark.parametrize(
    "table",
    [
        Tables,
        ProviderTable,
        CredentialTable,
        WindowTable,
        CapsTable,
        ModelTable,
        RouteTable,
        MatchTable,
        RetryTable,
        StreamingTable,
        DeadlineTable,
        DeadlineMatchTable,
        TraceTable,
        UpstreamTable,
    ],
)
def test_the_example_has_every_name(table: type[Table]) -> None:
    text = (ROOT / "rotator.example.toml").read_text()
    assert [name for name in table.model_fields if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("name", [*registry.discover(), *(one.name for one in protocols())])
def test_the_example_names_every_adapter_and_every_protocol(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "rotator.example.toml").read_text())


@pytest.mark.parametrize(
    ("to", "warned"),
    [("groq/llama-3", True), ("groq", False), ("openai/gpt-5", False), ("ollama/llama3", False)],
)
def test_a_target_without_a_key_is_warned_of_where_its_key_must_be_ours(
    toml: Load, to: str, warned: bool
) -> None:
    settings = toml(
        '[providers.openai]\ncredentials = [{ name = "a", key = "env:A" }]\n'
        f'[[routes]]\nmatch = {{ model = "claude-*" }}\nto = ["anthropic", "{to}"]',
        A="sk-of-the-pool",
    )
    found = [one for one in settings.warnings if "has no credentials" in one]
    message = (
        "routes[0].to[1]: groq has no credentials: this target is skipped for calls to other providers: "
        "set GROQ_API_KEY_1, or add providers.groq.credentials"
    )
    assert [one.endswith(message) for one in found] == [True] * warned


def test_a_target_is_warned_of_that_has_no_such_models(toml: Load) -> None:
    route = '[[routes]]\nmatch = {{ model = "claude-*" }}\nto = [{}]\n'
    message = "routes[0].to[1]: openai would be asked for claude-*, which anthropic has: write openai/MODEL"
    (line,) = toml(route.format('"anthropic", "openai"'), OPENAI_API_KEY_1=LONG).warnings
    assert line.endswith(message)
    assert toml(route.format('"anthropic", "openai/gpt-5"'), OPENAI_API_KEY_1=LONG).warnings == ()


def test_a_key_that_makes_no_pool_is_named(tmp_path: Path) -> None:
    message = "environment: OPENAI_API_KEY: left to your tools: a key for rotator to use is OPENAI_API_KEY_1"
    assert load("", {"OPENAI_API_KEY": "sk-1"}, tmp_path).warnings == (message,)
    keys = {"OPENAI_API_KEY": "sk-1", "OPENAI_API_KEY_1": "sk-a-key-of-the-pool"}
    assert load("", keys, tmp_path).warnings == ()


def test_a_config_in_yaml_is_not_skipped(tmp_path: Path) -> None:
    file = tmp_path / "rotator.yaml"
    file.write_text("retry: {}")
    (message,) = load("", {}, tmp_path).warnings
    assert message == f"{file}: YAML is not read: write it as rotator.toml or rotator.json"
    with pytest.raises(ConfigError, match="YAML is not read"):
        load("rotator.yaml", {}, tmp_path)
