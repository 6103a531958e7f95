"""Keys in the environment and logins of tools: what `rotator init` can make credentials of.

No key is in what these functions return: a credential is the name of a variable, or of a file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.config.logins import known_kinds
from addons.secrets.keys import UnusableKey, numbered, unnumbered, usable
from addons.secrets.logins import Login, read_login
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient

LONGEST_NAME = 32
"""Characters that the name of a credential may have."""

_SEPARATORS = re.compile(r"[,;\s]+")
_PROVIDERS = {
    "claude": "anthropic",
    "codex": "chatgpt",
    "gemini": "code_assist",
    "antigravity": "antigravity",
    "copilot": "github_copilot",
}
"""By kind of login, whose it is."""

_FOLDERS = {"claude": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME"}
"""By kind of login, the variable by which its tool's folder is moved."""


@dataclass(frozen=True, slots=True)
class Source:
    """One credential that can be made."""

    provider: str
    name: str
    """Of the credential."""
    fields: Mapping[str, str]
    """What stands in its table besides the name, by key of the config."""
    unfit: str = ""
    """Why it cannot be used as it is. Empty: it can."""

    @property
    def where(self) -> str:
        """The variable or the file, for messages."""
        return self.fields.get("file") or self.name.partition(" ")[0]


# -- keys --------------------------------------------------------------------------------------------------


def keys(providers: Mapping[str, Mapping[str, object]], environ: Mapping[str, str]) -> Iterator[Source]:
    """One for each key in `environ`, in the order of `providers`, whose facts these are: numbered ones first.
    The same key in two variables is one."""
    for provider, facts in providers.items():
        seen = set[str]()
        for name, reference, key in _named(str(facts.get("environment", "")), environ):
            if key not in seen:
                seen.add(key)
                yield Source(provider, name[:LONGEST_NAME], {"key": reference}, _fault(key, name))


def _named(variable: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Names of credentials, how the config refers to their keys, and these."""
    lists = f"{variable}S"
    for name in (*numbered(variable, environ).values(), *unnumbered(variable, environ)):
        listed = [each for each in _SEPARATORS.split(environ[name]) if each] if name == lists else []
        if len(listed) < 2:  # one alone is a key like any other
            yield name, f"env:{name}", environ[name].strip()
            continue
        for number, key in enumerate(listed, 1):
            yield f"{name} {number}", _one_of(name, number), key


def _one_of(variable: str, number: int) -> str:
    """How the config refers to one of several keys in a variable."""
    lines = f"""printf %s "${variable}" | tr -s ",; \\t" "\\n" | sed -n {number}p"""
    return f"cmd:sh -c '{lines}'"


def _fault(key: str, name: str) -> str:
    try:
        usable(key, name)
    except UnusableKey as error:
        return str(error)
    return ""


# -- logins ------------------------------------------------------------------------------------------------


def logins(environ: Mapping[str, str], home: Path, addresses: Mapping[str, object]) -> Iterator[Source]:
    """One for each login whose file is there. `addresses`: the base URL of each provider, if it has one."""
    for kind in known_kinds().values():
        provider = _PROVIDERS.get(kind.name)
        if provider is None:
            continue
        shown = _file(kind, environ)
        file = home / shown[2:] if shown.startswith("~/") else Path(shown)
        if file.is_file():
            fault = _fault_of_login(kind, file, has_address=bool(addresses.get(provider)))
            yield Source(provider, kind.name, {"oauth": kind.name, "file": shown}, fault)


def _file(kind: OAuthKind, environ: Mapping[str, str]) -> str:
    folder = environ.get(_FOLDERS.get(kind.name, ""), "").strip()
    return str(Path(folder).absolute() / Path(kind.file).name) if folder else kind.file


def _fault_of_login(kind: OAuthKind, file: Path, *, has_address: bool) -> str:
    try:
        read_login(Login(kind, file, TokenClient(kind.token_url, kind.client_id, "")))
    except UnusableKey as error:
        return str(error)
    if kind.wants_secret:
        return 'add client_secret = "env:NAME", the secret of that tool: only its tool can refresh it without'
    return "" if has_address else "add base_url, the address of your plan"
