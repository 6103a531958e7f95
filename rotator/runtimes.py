"""The programs that `rotator doctor` knows: how each asks a host once, and what sends it through a proxy.

A coding agent asks by its own client, in an empty home of its own and with a base URL that is the probe's: it
spends nothing, and nobody else gets its call.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

WAY = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
"""Variables that send any of them through a proxy."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_KEY = "sk-probe"


@dataclass(frozen=True, slots=True)
class Ask:
    """How a program asks a host once."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = _NOTHING
    """Besides that of the user."""
    files: Mapping[str, str] = _NOTHING
    """What lies in the folder that it runs in, by name."""
    has_own_home: bool = False
    """Whether it gets an empty one, so that nothing of the user's is used or changed."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One program."""

    name: str
    """For a reader."""
    program: str
    """Its name on PATH."""
    ask: Callable[[str], Ask]
    """Of a host."""
    trust: Sequence[str]
    """Variables that make it trust an authority, of which one may be enough."""
    way: Sequence[str] = WAY
    """Variables that send it through a proxy."""
    patience: float = 15.0
    """Seconds that it may take."""


def _url(host: str) -> str:
    return f"https://{host}/"


def _curl(host: str) -> Ask:
    return Ask(("-sS", "--max-time", "10", _url(host)))


def python(module: str) -> Callable[[str], Ask]:
    """How a Python asks with one of its libraries."""
    script = LIBRARIES[module]
    return lambda host: Ask(("-c", script, host))


LIBRARIES: Mapping[str, str] = {
    "urllib": "import sys, urllib.request as r; r.urlopen(f'https://{sys.argv[1]}/', timeout=10)",
    "requests": "import sys, requests; requests.get(f'https://{sys.argv[1]}/', timeout=10)",
    "httpx": "import sys, httpx; httpx.get(f'https://{sys.argv[1]}/', timeout=10)",
    "openai": (
        "import sys, openai; openai.OpenAI(base_url=f'https://{sys.argv[1]}/v1', api_key='sk-probe', "
        "max_retries=0, timeout=10).models.list()"
    ),
    "anthropic": (
        "import sys, anthropic; anthropic.Anthropic(base_url=f'https://{sys.argv[1]}', api_key='sk-probe', "
        "max_retries=0, timeout=10).models.list()"
    ),
}
"""By library, what a Python runs with the host as its argument."""

LIBRARY_TRUST: Mapping[str, Sequence[str]] = {"requests": ("REQUESTS_CA_BUNDLE",)}
"""Where it is not SSL_CERT_FILE."""


def _fetch(host: str) -> str:
    return f"await (await fetch({json.dumps(_url(host))})).text()"


def _node(host: str) -> Ask:
    return Ask(("--input-type=module", "-e", _fetch(host)))


def _bun(host: str) -> Ask:
    return Ask(("-e", _fetch(host)))


def _deno(host: str) -> Ask:
    return Ask(("eval", _fetch(host)))


_GO = 'package main\n\nimport "net/http"\n\nfunc main() {{ http.Get("{url}") }}\n'


def _go(host: str) -> Ask:
    return Ask(("run", "probe.go"), {"GO111MODULE": "off"}, {"probe.go": _GO.format(url=_url(host))})


def _claude(host: str) -> Ask:
    environment = {
        "ANTHROPIC_BASE_URL": f"https://{host}",
        "ANTHROPIC_API_KEY": _KEY,
        "ANTHROPIC_AUTH_TOKEN": "",
        "CLAUDE_CODE_OAUTH_TOKEN": "",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return Ask(("-p", "hi"), environment, has_own_home=True)


def _codex(host: str) -> Ask:
    provider = {
        "name": '"probe"',
        "base_url": json.dumps(f"https://{host}/v1"),
        "env_key": '"ROTATOR_PROBE_KEY"',
        "wire_api": '"responses"',
        "request_max_retries": "0",
        "stream_max_retries": "0",
    }
    table = ", ".join(f"{name} = {value}" for name, value in provider.items())
    chosen = ("-c", 'model_provider="probe"', "-c", f"model_providers.probe={{ {table} }}")
    return Ask(
        ("exec", "--skip-git-repo-check", *chosen, "hi"), {"ROTATOR_PROBE_KEY": _KEY}, has_own_home=True
    )


def _gemini(host: str) -> Ask:
    environment = {"GOOGLE_GEMINI_BASE_URL": f"https://{host}", "GEMINI_API_KEY": _KEY}
    chosen = json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}})
    files = {"home/.gemini/settings.json": chosen}
    return Ask(("--skip-trust", "-p", "hi"), environment, files, has_own_home=True)


def _opencode(host: str) -> Ask:
    options = {"baseURL": f"https://{host}/v1", "apiKey": _KEY}
    config = {"provider": {"anthropic": {"options": options}}, "autoupdate": False}
    environment = {"OPENCODE_CONFIG_CONTENT": json.dumps(config), "ANTHROPIC_API_KEY": _KEY}
    return Ask(("run", "-m", "anthropic/claude-sonnet-4-5", "hi"), environment, has_own_home=True)


def _aider(host: str) -> Ask:
    quiet = ("--no-git", "--yes", "--no-check-update", "--no-analytics", "--no-show-model-warnings")
    arguments = ("--model", "openai/gpt-4o", "--message", "hi", *quiet)
    environment = {"OPENAI_API_BASE": f"https://{host}/v1", "OPENAI_API_KEY": _KEY}
    return Ask(arguments, environment, has_own_home=True)


_NODE_TRUST = ("NODE_EXTRA_CA_CERTS",)
_NODE_WAY = (*WAY, "NODE_USE_ENV_PROXY")
_AGENT = 30.0

RUNTIMES: Sequence[Runtime] = (
    Runtime("curl", "curl", _curl, ("CURL_CA_BUNDLE", "SSL_CERT_FILE")),
    Runtime("node (fetch)", "node", _node, _NODE_TRUST, _NODE_WAY),
    Runtime("bun (fetch)", "bun", _bun, _NODE_TRUST),
    Runtime("deno (fetch)", "deno", _deno, ("DENO_CERT",)),
    Runtime("go (net/http)", "go", _go, ("SSL_CERT_FILE",), patience=_AGENT),
    Runtime("claude", "claude", _claude, ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"), patience=_AGENT),
    Runtime("codex", "codex", _codex, ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"), patience=_AGENT),
    Runtime("gemini", "gemini", _gemini, _NODE_TRUST, _NODE_WAY, _AGENT),
    Runtime("opencode", "opencode", _opencode, _NODE_TRUST, patience=_AGENT),
    Runtime("aider", "aider", _aider, ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), patience=_AGENT),
)
"""Those but for Python, which has several clients."""
