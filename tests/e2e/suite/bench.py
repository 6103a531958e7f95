"""The suite at work: a provider that speaks all protocols, a proxy for each pace, a process for each SDK."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import sdk as sdks
from tests.e2e.proxy import Proxy
from tests.e2e.suite.rows import ROWS, Expected, Row
from tests.e2e.suite.voice import Voice, healthy
from tests.e2e.translation.bench import model_of
from tests.e2e.translation.clients import CLIENTS, Client
from tests.e2e.translation.scenarios import CITIES, PROMPT
from tests.vendor import Answer, Received, Vendor, VendorThread
from tests.vendor.defaults import not_found
from tests.vendor.speech import speech_of

MODES = ("raw", "async_raw")
KEYS = {"ONE": "sk-pool-one", "TWO": "sk-pool-two"}
_NAMES = {"sk-pool-one": "one", "sk-pool-two": "two"}
_AUTH = {"anthropic_messages": "x-api-key", "gemini_generate": "x-goog-api-key"}
_OWN = ("openai", "anthropic", "gemini", "ollama_cloud")
_HASTY = """
[streaming]
first_event_timeout = 1.5
first_token_timeout = 1.5
slow_start_timeout = 1.5
stall_timeout = 1.5
[retry]
deadline = 5
"""
PATIENCE = 30.0
"""Seconds that a client waits for the end of its answer; bounds a failing test, no passing one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row, played by one client in one mode; its model names it, so that the provider recognises it."""

    number: int
    row: Row
    client: Client
    mode: str

    @property
    def model(self) -> str:
        return f"cell{self.number}.{self.mode}.{self.client.name}"

    @property
    def expected(self) -> Expected:
        return self.row.expected_of(self.client.protocol, self.client.name)

    def __str__(self) -> str:
        return f"{self.row.id}-{self.row.name}-{self.client.name}-{self.mode}".replace(" ", "_")


def cells_of(rows: Sequence[Row], clients: Sequence[Client], modes: Sequence[str] = MODES) -> list[Cell]:
    return [
        Cell(number, row, client, mode)
        for number, row in enumerate(rows)
        for client in clients
        for mode in client.modes
        if mode in modes and client.protocol in row.only
    ]


CELLS = cells_of(ROWS, CLIENTS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client reported of its last turn and of its error, and what its provider was asked."""

    turn: Mapping[str, Any]
    error: Mapping[str, Any] | None
    requests: tuple[Received, ...]

    @property
    def keys(self) -> str:
        return " ".join(_NAMES.get(request.credential, "the client's") for request in self.requests)

    @property
    def error_line(self) -> str:
        """All that the SDK says of the error that it raised, "" for none."""
        if self.error is None:
            return ""
        return f"{self.error['status']} {' '.join(self.error['types'])} {self.error['message']}"


class Stage:
    """The provider's part: what it does in each cell, request after request. Its thread alone calls it."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = {cell.model: cell for cell in cells}
        self._asked: Counter[str] = Counter()

    def __call__(self, received: Received) -> Answer:
        speech, model = speech_of(received.path), model_of(received)
        if speech is None or model not in self._cells:
            return not_found()
        acts = self._cells[model].row.acts
        number = self._asked[model]
        self._asked[model] += 1
        act = acts[number] if number < len(acts) else healthy()
        return act(Voice(speech, model))


class Bench:
    """All clients play their cells of one pace when the first of these is asked for, two clients at once.

    `way` gives the proxy of a pace (hasty or not); `patience` is that of the clients.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        vendor: VendorThread,
        way: Callable[[bool], Proxy],
        patience: float = PATIENCE,
    ) -> None:
        self._cells, self._vendor, self._way, self._patience = cells, vendor, way, patience
        self._threads = ThreadPoolExecutor(2)
        self._played: dict[tuple[bool, str], Future[dict[str, Any]]] = {}

    def play(self, cell: Cell) -> Seen:
        if (cell.row.hasty, cell.client.name) not in self._played:
            self._begin(hasty=cell.row.hasty)
        result = self._played[cell.row.hasty, cell.client.name].result()[cell.model]
        requests = tuple(r for r in self._vendor.requests if model_of(r) == cell.model)
        return Seen(result["turns"][-1], result["error"], requests)

    def close(self) -> None:
        self._threads.shutdown()

    def _begin(self, *, hasty: bool) -> None:
        proxy = self._way(hasty)
        for client in CLIENTS:
            cells = [cell for cell in self._cells if cell.client == client and cell.row.hasty == hasty]
            if cells:
                playing = self._threads.submit(self._play, client, cells, proxy)
                self._played[hasty, client.name] = playing

    def _play(self, client: Client, cells: Sequence[Cell], proxy: Proxy) -> dict[str, Any]:
        jobs = [{"mode": cell.mode, "model": cell.model, "prompt": PROMPT, **cell.row.job} for cell in cells]
        answered = sdks.run(
            client.sdk,
            client.program,
            proxy.environment(),
            jobs=jobs,
            at_once=16,
            patience=self._patience,
            timeout=120,
        )
        return dict(zip([cell.model for cell in cells], answered["results"], strict=True))


def differences(cell: Cell, seen: Seen) -> list[str]:
    """What is not as expected, in words; nothing, if all is."""
    expected, turn = cell.expected, seen.turn
    finish = expected.finish and cell.client.finishes[expected.finish]
    calls = [(call["name"], call["arguments"]) for call in turn["tools"] if call["arguments"] is not None]
    wanted = [(tool.name, {"city": CITIES[tool.name]}) for tool in expected.tools]
    pairs = (
        ("text", shortened(turn["text"]), shortened(expected.text)),
        ("finish", turn["finish"], finish),
        ("calls", calls, wanted),
        ("keys", seen.keys, expected.keys),
        ("attempts", len(seen.requests), expected.attempts),
    )
    found = [f"{what} is {was!r}, not {due!r}" for what, was, due in pairs if was != due]
    if bool(expected.error) != bool(seen.error) or _missing(expected.error, seen.error_line):
        found.append(f"the SDK raised {seen.error_line!r}, not {expected.error!r}")
    if expected.sent and f'"{expected.sent}"'.encode() not in seen.requests[-1].body:
        found.append(f"the last request has no {expected.sent!r}")
    return found


def shortened(text: str) -> str:
    """With what is in the middle of a very long text counted only."""
    return text if len(text) < 200 else f"{text[:50]}...{len(text)}...{text[-50:]}"


def _missing(wanted: str, answered: str) -> bool:
    """A status stands in front, and is looked for by itself."""
    status, _, words = wanted.partition(" ") if wanted[:3].isdigit() else ("", "", wanted)
    return not (answered.startswith(status) and words in answered)


def config(cells: Sequence[Cell], base_url: str, *, hasty: bool) -> str:
    """The providers as the clients know them, with two keys each; a row that wants one has its own pool."""
    shared = "".join(_provider(name, base_url, ("one", "two")) for name in _OWN)
    own = [cell for cell in cells if cell.row.pool and cell.row.hasty == hasty]
    return (_HASTY if hasty else "") + shared + "".join(_own(cell, base_url) for cell in own)


def _provider(name: str, base_url: str, pool: Sequence[str]) -> str:
    keys = ", ".join(f'{{ name = "{key}", key = "env:{key.upper()}" }}' for key in pool)
    return f'[providers.{name}]\nbase_url = "{base_url}"\ncredentials = [{keys}]\n'


def _own(cell: Cell, base_url: str) -> str:
    name, protocol = cell.model.replace(".", "_"), cell.client.protocol
    return f"""
[[routes]]
match = {{ model = "{cell.model}" }}
to = ["{name}"]
{_provider(name, base_url, cell.row.pool)}hosts = ["{name.replace("_", "-")}.test"]
protocols = ["{protocol}"]
auth = "{_AUTH.get(protocol, "bearer")}"
"""


@contextmanager
def bench(folder: Path, cells: Sequence[Cell] = CELLS, patience: float = PATIENCE) -> Iterator[Bench]:
    """A bench whose proxy is rotator."""
    with VendorThread(Vendor(tls=True, default=Stage(cells))) as vendor, ExitStack() as running:

        def way(hasty: bool) -> Proxy:
            made = folder / ("hasty" if hasty else "patient")
            made.mkdir()
            options = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
            text = config(cells, vendor.base_url, hasty=hasty)
            return running.enter_context(Proxy(made, text, keys=KEYS, options=options))

        playing = Bench(cells, vendor, way, patience)
        running.callback(playing.close)
        yield playing
