"""Strict providers under the names of real ones, one proxy, and SDKs whose clients keep or forget what was
thought."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import Answer, Received, Vendor, VendorThread
from tests.vendor import strict as vendors
from tests.vendor.strict import Strict, weak_id

PROMPT = "How warm is it in Paris?"
KEYS = {"KEY": "sk-pool-key-of-strict-providers"}

STRICT: Mapping[str, Strict] = {
    "deepseek": Strict(vendors.deepseek),
    "moonshot": Strict(vendors.moonshot, ids=weak_id),
    "openrouter": Strict(vendors.openrouter, shape=vendors.with_details),
    "anthropic": Strict(vendors.anthropic),
    "gemini": Strict(vendors.gemini),
    "vertex": Strict(vendors.gemini, shape=vendors.without_ids),
    "openai": Strict(vendors.openai),
}
"""By provider."""
_GOOGLE_CHAT = Strict(vendors.google_chat, shape=vendors.with_google)


@dataclass(frozen=True, slots=True)
class Client:
    """A program in clients/, the protocol that it speaks, and the environment it runs in."""

    program: str
    protocol: str
    sdk: str


CHAT = Client("turns_chat", "openai_chat", "openai-current")
RESPONSES = Client("turns_responses", "openai_responses", "openai-current")
MESSAGES = Client("turns_messages", "anthropic_messages", "anthropic-current")
GEMINI = Client("turns_gemini", "gemini_generate", "google-current")


@dataclass(frozen=True, slots=True)
class Cell:
    """One conversation, told from others by its model.

    base: the SDK's base URL, "" for its own. routed: whether a route leads to the provider, which is then
    asked in another protocol than the client's.
    """

    client: Client
    provider: str
    model: str
    mode: str
    forgets: bool = True
    base: str = ""
    routed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def named(self) -> str:
        """Its model."""
        kept = "forgets" if self.forgets else "keeps"
        return f"{self.model}-{self.client.program[6:]}-{self.mode}-{kept}"

    @property
    def id(self) -> str:
        """In reports of tests."""
        return f"{self.client.program[6:]}-{self.provider}-{self.mode}"

    @property
    def job(self) -> Mapping[str, Any]:
        """What the client's program is to do."""
        headers = {**self.headers, **({"x-route-to": self.provider} if self.routed else {})}
        loop = {"prompt": PROMPT, "tools": True, "reasoning": True, "turns": 3}
        return {**loop, "mode": self.mode, "model": self.named, "forgets": self.forgets, "headers": headers}


@dataclass(frozen=True, slots=True)
class Played:
    """What one client saw, and what its provider was asked."""

    turns: list[dict[str, Any]]
    error: Mapping[str, Any] | None
    requests: list[Received]


class Bench:
    """A proxy before all of the strict providers. Of `cells`, those of one SDK run in one process."""

    def __init__(self, proxy: Proxy, strict: Mapping[str, VendorThread], cells: list[Cell]) -> None:
        self.proxy, self._strict, self._cells = proxy, strict, cells
        self._seen: dict[str, Any] = {}

    def requests(self, provider: str, model: str) -> list[Received]:
        """What a provider was asked under this model."""
        return [one for one in self._strict[provider].requests if model_of(one) == model]

    def play(self, cell: Cell) -> Played:
        if cell.named not in self._seen:
            self._run([each for each in self._cells if (each.client, each.base) == (cell.client, cell.base)])
        seen = self._seen[cell.named]
        return Played(seen["turns"], seen["error"], self.requests(cell.provider, cell.named))

    def _run(self, cells: list[Cell]) -> None:
        [client, *_], [base, *_] = [each.client for each in cells], [each.base for each in cells]
        environment = self.proxy.environment() | ({"OPENAI_BASE_URL": base} if base else {})
        jobs = [each.job for each in cells]
        results = sdk.run(client.sdk, client.program, environment, jobs=jobs)["results"]
        self._seen |= dict(zip([each.named for each in cells], results, strict=True))


def session(name: str) -> dict[str, str]:
    """The header that says which conversation a call belongs to."""
    return {"X-Session-Id": f"conversation-of-the-tests-{name}"}


def model_of(received: Received) -> str:
    """The model that a request names, in its body or its path."""
    if "/models/" in received.path:
        return received.path.rpartition("/")[2].partition(":")[0]
    return str(received.json().get("model", ""))


TRANSLATED = {
    "deepseek": "openai_chat",
    "anthropic": "anthropic_messages",
    "gemini": "gemini_generate",
    "vertex": "gemini_generate",
    "openai": "openai_responses",
}
"""The protocol in which a provider is asked for clients of others."""


def config(urls: Mapping[str, str]) -> str:
    """A pool for each, and a route to each provider that is asked in another protocol."""
    return "".join(_provider(name, url) for name, url in urls.items()) + "".join(map(_route, TRANSLATED))


def _provider(name: str, url: str) -> str:
    return f"""
        [providers.{name}]
        base_url = "{url}"
        credentials = [{{ name = "one", key = "env:KEY" }}]
        """


def _route(name: str) -> str:
    return f"""
        [[routes]]
        match = {{ header = {{ x-route-to = "{name}" }} }}
        to = ["{name}"]
        protocol = "{TRANSLATED[name]}"
        """


def _google(received: Received) -> Answer:
    """What Google serves by Chat beside what it serves by its own protocol."""
    return (_GOOGLE_CHAT if "/openai/" in received.path else STRICT["gemini"])(received)


@contextmanager
def bench(folder: Path, cells: list[Cell]) -> Iterator[Bench]:
    answers: dict[str, Callable[[Received], Answer]] = {**STRICT, "gemini": _google}
    with ExitStack() as stack:
        strict = {
            name: stack.enter_context(VendorThread(Vendor(default=each))) for name, each in answers.items()
        }
        text = config({name: vendor.base_url for name, vendor in strict.items()})
        yield Bench(stack.enter_context(Proxy(folder, text, keys=KEYS)), strict, cells)
