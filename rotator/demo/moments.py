"""The five moments of the demo, and the config that they are played with."""

from collections.abc import Mapping
from dataclasses import dataclass

ONE, TWO, BACKUP = "demo-key-number-one-0001", "demo-key-number-two-0002", "demo-key-of-the-backup-0003"
"""Made up: the fake provider knows them."""
KEYS: Mapping[str, str] = {"DEMO_ONE": ONE, "DEMO_TWO": TWO, "DEMO_BACKUP": BACKUP}
"""The environment that the proxy has them from."""

LIMITED, SILENT, CUT, BUSY, STEADY = "demo-limited", "demo-silent", "demo-cut", "demo-busy", "demo-steady"
"""Models by which the fake provider knows what to do."""
CLAUDE = "claude-opus-4-5"

PATIENCE = 5.0
"""Seconds after which the client without the proxy gives up; the SDK itself waits for 600."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens, and what it shows."""

    title: str
    sdk: str
    """The program in `clients`."""
    model: str
    key: str
    """That of the client; the proxy replaces it."""
    does: str
    """What the proxy does about it."""
    timeout: float | None = None
    """Seconds that the client without the proxy waits. None: as long as its SDK does."""


MOMENTS = (
    Moment(
        "The rate limit of a key is used up (429)",
        "openai_sdk",
        LIMITED,
        ONE,
        "The proxy asked with the other key.",
    ),
    Moment(
        "The provider accepts a call, and then says nothing",
        "openai_sdk",
        SILENT,
        ONE,
        "The proxy asked again, with the other key, after 2 s of silence (by default after 60 s or more).",
        PATIENCE,
    ),
    Moment(
        "The connection breaks in the middle of an answer",
        "openai_sdk",
        CUT,
        ONE,
        "The proxy ended the answer as a truncated one, which tools know: no exception, and not complete.",
    ),
    Moment(
        "A provider is overloaded (503), and a route names another",
        "openai_sdk",
        BUSY,
        ONE,
        'The proxy asked the next one of the route: to = ["openai", "backup/demo-steady"].',
    ),
    Moment(
        "A tool speaks Anthropic's protocol, and there is no key for that",
        "anthropic_sdk",
        CLAUDE,
        "no-key-at-all",
        'The proxy translated to Chat Completions and back, by a route: to = ["openai/demo-steady"].',
    ),
)


def config(url: str) -> str:
    """The text of rotator.toml. `url`: where the fake provider is."""
    return f"""\
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:DEMO_ONE" }}, {{ name = "two", key = "env:DEMO_TWO" }}]

[providers.anthropic]
base_url = "{url}"

[providers.backup]
base_url = "{url}"
hosts = ["backup.invalid"]
protocols = ["openai_chat"]
auth = "bearer"
credentials = [{{ name = "three", key = "env:DEMO_BACKUP" }}]

[[routes]]
match = {{ model = "{BUSY}" }}
to = ["openai", "backup/{STEADY}"]

[[routes]]
match = {{ provider = "anthropic" }}
to = ["openai/{STEADY}"]

[streaming]
first_event_timeout = 2.0
first_token_timeout = 2.0
slow_start_timeout = 2.0
"""
