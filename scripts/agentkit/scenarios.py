"""The table of what is run: agents, how each is started, and the scenarios with their configs.

A row is data. Those with a route run as soon as the config takes routes; until then they fail with what the
proxy says of its config.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template

from scripts.agentkit import faults, provider
from scripts.agentkit.install import (
    AIDER,
    CLAUDE,
    CODEX,
    CURL,
    GEMINI,
    NODE_SDK,
    OPENCODE,
    PYTHON_SDK,
    Package,
)
from scripts.agentkit.provider import HALF, Script, ToolCall
from tests.vendor import Tool
from tests.vendor.speech import SPEECHES, Said

PROMPT = "Read note.txt and say what is in it."
NOTE = "note.txt"
POOL_KEY, OTHER_KEY, THIRD_KEY = "sk-fake-pool-key", "sk-fake-other-pool-key", "sk-fake-third-pool-key"
"""Keys of the proxy; the client's own is for the provider that it meant, where that has no pool."""

_BASH = ToolCall("bash", {"command": f"cat {NOTE}", "description": "Read the note"})


@dataclass(frozen=True, slots=True)
class Agent:
    """One way to run an agent headless. `arguments` follow the command, the prompt comes last.

    variable, key: the credential, as the agent's own documentation says; no variable: it has a login.
    provider, protocol: its own.
    tool: a call that reads the note, with one of the tools that it declares and allows by itself.
    """

    name: str
    package: Package
    arguments: tuple[str, ...]
    variable: str
    key: str
    provider: str
    protocol: str
    tool: ToolCall
    prompt: str = PROMPT


_ANTHROPIC_KEY = "sk-ant-fake-agents-key"
_OPENAI_KEY = "sk-fake-agents-key"
_GEMINI_KEY = "AIzaFakeAgentsKey"

AGENTS = (
    Agent(
        "claude",
        CLAUDE,
        # Measured: without the permission the tool call is denied; as root the permission for all is refused.
        ("--allowedTools", f"Bash(cat {NOTE})", "-p"),
        "ANTHROPIC_API_KEY",
        _ANTHROPIC_KEY,
        "anthropic",
        "anthropic_messages",
        ToolCall("Bash", {"command": f"cat {NOTE}", "description": "Read the note"}),
    ),
    Agent(
        "codex",
        CODEX,
        ("exec", "--skip-git-repo-check"),
        # Measured: OPENAI_API_KEY alone is not read, and the calls carry no credential.
        "CODEX_API_KEY",
        _OPENAI_KEY,
        "openai",
        "openai_responses",
        # Its shell is a custom tool that takes JavaScript.
        ToolCall(
            "exec",
            text=f'const r = await tools.exec_command({{cmd: "cat {NOTE}"}}); text(r.output);',
            namespace="functions",
        ),
    ),
    Agent(
        "gemini",
        GEMINI,
        # Measured: a folder that nobody has trusted is refused (exit 55).
        ("--skip-trust", "-p"),
        "GEMINI_API_KEY",
        _GEMINI_KEY,
        "gemini",
        "gemini_generate",
        # Read-only tools are allowed in a headless run, the shell is not declared.
        ToolCall("read_file", {"file_path": NOTE}),
    ),
    Agent(
        "opencode",
        OPENCODE,
        ("run", "-m", "anthropic/claude-sonnet-4-5"),
        "ANTHROPIC_API_KEY",
        _ANTHROPIC_KEY,
        "anthropic",
        "anthropic_messages",
        _BASH,
    ),
    Agent(
        "opencode-openai",
        OPENCODE,
        ("run", "-m", "openai/gpt-5"),
        "OPENAI_API_KEY",
        _OPENAI_KEY,
        "openai",
        "openai_responses",
        _BASH,
    ),
    Agent(
        "opencode-gemini",
        OPENCODE,
        ("run", "-m", "google/gemini-2.5-pro"),
        "GOOGLE_GENERATIVE_AI_API_KEY",
        _GEMINI_KEY,
        "gemini",
        "gemini_generate",
        _BASH,
    ),
)

_AIDER = "--model openai/gpt-4o --no-git --yes-always --no-check-update --no-analytics --message"
_CURL = ("-sS", "https://api.openai.com/v1/chat/completions", "-H", "Content-Type: application/json")
_CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]})
_SDKS = Path(__file__).with_name("sdks")


def _of_openai(name: str, package: Package, arguments: tuple[str, ...], prompt: str = PROMPT) -> Agent:
    key = ("OPENAI_API_KEY", _OPENAI_KEY)
    return Agent(name, package, arguments, *key, "openai", "openai_chat", _BASH, prompt)


CLIENTS = (
    _of_openai("aider", AIDER, tuple(_AIDER.split())),
    _of_openai("curl", CURL, (*_CURL, "-H", f"Authorization: Bearer {_OPENAI_KEY}", "-d"), _CHAT),
    _of_openai("python-sdk", PYTHON_SDK, (str(_SDKS / "chat.py"),)),
    _of_openai("node-sdk", NODE_SDK, (str(_SDKS / "chat.mjs"),)),
)
"""Those that declare no tools."""

# $vendor is the base URL of the fake provider.
OWN: Mapping[str, str] = {
    "anthropic": '[providers.anthropic]\nbase_url = "$vendor"\n',
    "openai": '[providers.openai]\nbase_url = "$vendor"\n',
    "gemini": """
[providers.gemini]
base_url = "$vendor"
hosts = ["generativelanguage.googleapis.com"]
protocols = ["gemini_generate"]
auth = "x-goog-api-key"
""",
}
_ROUTE = """
[[routes]]
match = { provider = "$source" }
to = ["$target/$model"]
[providers.$source]
base_url = "$$vendor"
[providers.$target]
base_url = "$$vendor"
credentials = [{ name = "pool", key = "env:POOL_KEY" }]
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the fake provider must have seen of every generation call. model: "" for any; more_keys: others
    that have to be used after `key`; asked: what the body of one of them has in it, text after text."""

    protocols: tuple[str, ...]
    key: str
    model: str = ""
    more_keys: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One run. config: text of rotator.toml with $vendor; keys: variables of the proxy alone; said: what the
    proxy's log has to say of it, a regular expression; files: what lies in the folder of the run, in the
    agent's `home` and the folder `proxy`."""

    agent: Agent
    scenario: str
    config: str
    script: Script
    expected: Expected
    keys: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    by_command: bool = False
    """Run by `rotator run`, with nothing else set."""

    @property
    def name(self) -> str:
        return f"{self.agent.name}-{self.scenario}"

    def config_for(self, vendor: str) -> str:
        """The config with the fake provider's base URL in it."""
        return Template(self.config).substitute(vendor=vendor)


def _own(agent: Agent) -> Iterator[Row]:
    expected = Expected((agent.protocol,), agent.key)
    yield Row(agent, "one-shot", OWN[agent.provider], Script(), expected)
    yield Row(agent, "tool", OWN[agent.provider], Script(agent.tool), expected)


def _routed(agent: Agent, target: str, model: str, protocols: tuple[str, ...]) -> Iterator[Row]:
    config = Template(_ROUTE).substitute(source=agent.provider, target=target, model=model)
    expected = Expected(protocols, POOL_KEY, model)
    keys = {"POOL_KEY": POOL_KEY}
    yield Row(agent, f"route-{target}", config, Script(), expected, keys)
    yield Row(agent, f"route-{target}-tool", config, Script(agent.tool), expected, keys)


_BRIDGE = OWN["openai"] + 'websocket = "bridge"\n'
_IMPATIENT = "[streaming]\nfirst_event_timeout = 2.0\nfirst_token_timeout = 2.0\nslow_start_timeout = 2.0\n"
_REFUSED, _BRIDGED = "<< 426 Upgrade Required", "a turn was prepared"


def _websocket(agent: Agent) -> Iterator[Row]:
    """What an agent makes of its WebSocket being refused, and of one that the proxy answers: there the
    provider is asked over HTTP."""
    expected = Expected((agent.protocol,), agent.key)
    for name, script in (("", Script()), ("-tool", Script(agent.tool))):
        yield Row(agent, f"refuse{name}", OWN[agent.provider], script, expected, said=_REFUSED)
    for name, streaming, script in _bridge_scripts(agent):
        yield Row(agent, f"bridge{name}", _BRIDGE + streaming, script, expected, said=_BRIDGED)
    *_, routed = _routed(agent, "anthropic", "claude-test", ("anthropic_messages",))
    config = routed.config.replace(OWN["openai"], _BRIDGE)
    yield replace(routed, scenario=f"bridge-{routed.scenario}", config=config, said=_BRIDGED)


def _bridge_scripts(agent: Agent) -> Iterator[tuple[str, str, Script]]:
    """Name, further config, script."""
    speech = SPEECHES[agent.protocol]
    words = Said(("Half", " of", " an", " answer"))
    call = Said(tools=(Tool("exec_command", ('{"cmd":"', "cat no", 'te.txt"}')),), finish="tools")
    yield "", "", Script()
    yield "-tool", "", Script(agent.tool)
    yield "-stall", _IMPATIENT, Script(first=(speech.silent(),))
    yield "-429", "", Script(first=(speech.error(429, "Slow down.", (("retry-after", "1"),)),))
    yield "-cut-text", "", Script(first=(speech.reset(words, " an", model=""),))
    yield "-cut-tool", "", Script(agent.tool, first=(speech.reset(call, "cat no", model=""),))


_TWO_KEYS = """credentials = [{ name = "one", key = "env:POOL_KEY" }, { name = "two", key = "env:OTHER_KEY" }]
"""
_LENGTH, _ERROR, _CONTINUED = "ended with finish_reason 'length'", "ended with an error", "continued 1 time"
CONTINUE = "Go on exactly where it stopped"
"""What the request for the rest of an answer says."""

_TOLD: Mapping[str, tuple[str, str, str]] = {
    "claude": (_CONTINUED, _LENGTH, _LENGTH),
    "codex": (_ERROR, _ERROR, _ERROR),
    "gemini": (_CONTINUED, _CONTINUED, _LENGTH),
    "opencode": (_CONTINUED, _LENGTH, _LENGTH),
    "opencode-openai": (_CONTINUED, _LENGTH, _LENGTH),
    "opencode-gemini": (_CONTINUED, _CONTINUED, _LENGTH),
}
"""What becomes of a cut in text, in a tool call and after one, by agent: see rewrite/catalog/clients.toml.
Gemini's protocol has calls whole, so that the client has seen nothing of one that was cut."""


def _faulty(agent: Agent) -> Iterator[Row]:
    """What goes wrong between the agent and its own provider, over HTTP."""
    speech = SPEECHES[agent.protocol]
    silent = Script(agent.tool, first=(faults.silence(speech),))
    limited = Script(agent.tool, first=(faults.slow_down(speech),))
    text, call, after = _TOLD[agent.name]
    yield _rotated(agent, "stall", _IMPATIENT, silent, r"stalled\(first_event [0-9.]+s\)")
    yield _rotated(agent, "429", "", limited, r"rejected\(429 rate\)")
    yield _cut(agent, "cut-text", Script(agent.tool, last=(faults.cut_text(speech),)), text, HALF)
    cut_call = faults.cut_call(speech, agent.tool)
    yield _cut(agent, "cut-tool", Script(agent.tool, first=(cut_call,)), call, faults.BEFORE_CALL)
    whole_call = faults.cut_after_call(speech, agent.tool)
    yield _cut(agent, "cut-after-tool", Script(agent.tool, first=(whole_call,)), after, "")


def _rotated(agent: Agent, name: str, streaming: str, script: Script, outcome: str) -> Row:
    """The agent's own key is replaced by one of two; that it asked once is in the record of that call."""
    expected = Expected((agent.protocol,), POOL_KEY, more_keys=(OTHER_KEY,))
    keys = {"POOL_KEY": POOL_KEY, "OTHER_KEY": OTHER_KEY}
    config = OWN[agent.provider] + _TWO_KEYS + streaming
    return Row(agent, name, config, script, expected, keys, f'attempts="one:{outcome} two:completed"')


def _cut(agent: Agent, name: str, script: Script, way: str, part: str) -> Row:
    """part: what was said before the cut, and is in the request for the rest."""
    asked = (part, CONTINUE) if way == _CONTINUED else ()
    expected = Expected((agent.protocol,), agent.key, asked=asked)
    return Row(agent, name, OWN[agent.provider], script, expected, said=way)


_WHEEL = """rotation = "round_robin"
credentials = [
  { name = "one", key = "env:POOL_KEY" },
  { name = "two", key = "env:OTHER_KEY" },
  { name = "three", key = "env:THIRD_KEY" },
]
"""


def _kept(agent: Agent, name: str, tool: ToolCall) -> Row:
    """The turns of a conversation stay on one key, though each new conversation gets the next one."""
    expected = Expected((agent.protocol,), POOL_KEY, one_of=(OTHER_KEY, THIRD_KEY))
    keys = {"POOL_KEY": POOL_KEY, "OTHER_KEY": OTHER_KEY, "THIRD_KEY": THIRD_KEY}
    return Row(agent, name, OWN[agent.provider] + _WHEEL, Script(tool), expected, keys)


_CLAUDE, _CODEX = AGENTS[:2]
_LATE, _OVER = 4_000_000_000, 1_000_000_000
"""When a token ends, in unix seconds."""
_LOGIN = """[providers.chatgpt]
base_url = "$vendor"
replace_oauth = true
credentials = [{ name = "plus", oauth = "codex", file = "pool.json", token_url = "$vendor/oauth/token" }]
"""


def _chatgpt_token(account: str, ends: int) -> str:
    """A token that its reader does not check."""
    claims = {"chatgpt_account_id": account, "chatgpt_plan_type": "plus", "chatgpt_user_id": "user"}
    payload = {"email": "me@example.com", "exp": ends, "https://api.openai.com/auth": claims}
    parts = ({"alg": "none", "typ": "JWT"}, payload)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _chatgpt_login(account: str, ends: int) -> str:
    """codex's auth.json."""
    token = _chatgpt_token(account, ends)
    tokens = {
        "id_token": token,
        "access_token": token,
        "refresh_token": f"refresh-{account}",
        "account_id": account,
    }
    held = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens}
    return json.dumps({**held, "last_refresh": "2026-11-01T00:00:00Z"})


def _logged_in(name: str, tool: ToolCall | None) -> Row:
    """codex with a login of its own; its calls leave on the pool's login, which was due and is refreshed."""
    token = _chatgpt_token("pool", _LATE)
    # Measured: it ends, with no generation asked for, where one of these fields is missing.
    account = {
        "id": "own",
        "plan_type": "plus",
        "workspace_backend_origin": "https://chatgpt.com",
        "account_routing_override": "NO_CONSTRAINT",
    }
    accounts = {"accounts": [account], "default_account_id": "own", "account_ordering": ["own"]}
    others = {
        "/oauth/token": json.dumps({"access_token": token, "refresh_token": "refresh-next"}),
        "/backend-api/wham/accounts/check": json.dumps(accounts),
    }
    files = {
        "home/.codex/auth.json": _chatgpt_login("own", _LATE),
        "proxy/pool.json": _chatgpt_login("pool", _OVER),
    }
    agent = replace(_CODEX, variable="", key="", provider="chatgpt")
    expected = Expected((agent.protocol,), token)
    return Row(agent, name, _LOGIN, Script(tool, others=others), expected, files=files)


def _by_command(agent: Agent) -> Row:
    """The agent by `rotator run`, which starts the proxy and ends it."""
    side = provider.FINAL if agent in CLIENTS else ""
    expected = Expected((agent.protocol,), agent.key)
    return Row(agent, "run", OWN[agent.provider], Script(side=side), expected, by_command=True)


_TASK = {
    "description": "Read the note",
    "prompt": f"What is in {NOTE}?",
    "subagent_type": "Plan",  # it has no such tool itself
    "run_in_background": False,
}
ROWS: tuple[Row, ...] = (
    *(row for agent in AGENTS for row in _own(agent)),
    *_routed(_CLAUDE, "openai", "gpt-test", ("openai_chat", "openai_responses")),
    *_routed(_CODEX, "anthropic", "claude-test", ("anthropic_messages",)),
    *_websocket(_CODEX),
    *(row for agent in AGENTS for row in _faulty(agent)),
    *(_kept(agent, "pool", agent.tool) for agent in AGENTS),
    _kept(_CLAUDE, "pool-sub-agent", ToolCall("Agent", _TASK, by_agent=True)),
    _logged_in("login", None),
    _logged_in("login-tool", _CODEX.tool),
    *(_by_command(agent) for agent in (*AGENTS, *CLIENTS)),
)


def chosen(rows: Iterable[Row], agents: Iterable[str], scenarios: Iterable[str]) -> list[Row]:
    """The rows whose agent and scenario match one of the globs each; no glob matches all."""
    return [
        row
        for row in rows
        if _matches(row.agent.name, agents or ("*",)) and _matches(row.scenario, scenarios or ("*",))
    ]


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
