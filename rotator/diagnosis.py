"""What `rotator doctor` says of a program, and what to paste. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from addons.config.client_variables import REMOVED
from rotator.probing import Arrival, Probed
from rotator.runtimes import Runtime

_BASE_URLS = (
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "OLLAMA_HOST",
)
_SECURE = "https://"
_SPARED = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one program."""

    name: str
    now: Probed
    """With the variables as they are."""
    then: Probed | None = None
    """With the lines pasted. None: that was not tried, since it works."""
    needed: Sequence[str] = ()
    """The variables of those lines that it is about."""
    obstacle: str = ""
    """What no line mends, if it is known."""

    @property
    def good(self) -> bool:
        return self.now.arrival is Arrival.ANSWERED

    @property
    def is_mended(self) -> bool:
        """Whether the lines to paste help."""
        return self.then is not None and self.then.arrival is Arrival.ANSWERED

    @property
    def line(self) -> str:
        goes = f"goes {self.now.arrival.value}"
        if self.good:
            return f"ok: {goes}"
        if self.is_mended:
            named = (f"no {name}" if name in REMOVED else name for name in self.needed if name.isupper())
            return f"{goes}: needs {', '.join(named)}"
        said = (self.then or self.now).message
        why = self.obstacle or f"the lines of `rotator env` do not help either{f': {said}' if said else ''}"
        return f"{goes}: {why}"


def needed(
    runtime: Runtime, now: Probed, environment: Mapping[str, str], variables: Mapping[str, str]
) -> list[str]:
    """The variables, of those that are to be set, by which `runtime` would come through."""
    names = runtime.trust if now.arrival is Arrival.DISTRUSTED else (*runtime.way, *runtime.trust)
    changed = [name for name in names if environment.get(name, "") != variables.get(name, "")]
    spared = any(environment.get(name) for name in _SPARED)
    return [
        *(name for name in changed if spared or name not in _SPARED),
        *(name for name in REMOVED if name in environment),
    ]


def of_variables(environment: Mapping[str, str], proxy: str, spared: Sequence[str]) -> Iterator[str]:
    """What is wrong with the variables of a shell, whatever runs there. `proxy` is the proxy's authority,
    `spared` are hosts of providers that NO_PROXY covers."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        if environment.get(name, "").lower().startswith(_SECURE):
            yield f"{name} begins with https://: this proxy is spoken to in plain http://: set http://{proxy}"
    if spared:
        hosts = ", ".join(spared)
        yield f"NO_PROXY covers {hosts}: calls there go past the proxy: paste the lines below"
    for name in _BASE_URLS:
        if proxy in environment.get(name, ""):
            yield f"{name} is the proxy's own address: unset it, and paste the lines below"
