"""Counts and prints: python -m scripts.callpath [--tokens N] [--most N] [--functions]

A client of Chat calls through a real mitmdump: once as its provider is asked untouched, once translated for
a provider of Messages. The provider is a fake one on loopback. It sends each event by itself. Of seven calls
each the one with the fewest moves is shown.
"""

import argparse
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.callpath import probe
from scripts.callpath.report import Way, table
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import Pause, Reply, Send, VendorThread, chat_stream, messages_stream

CALLS = 8
"""Of each kind. The first opens the connections and is not counted. Of the others the one with the fewest
moves is shown: what else runs meanwhile adds some, and so does an event that arrives in two pieces."""

GAP = 0.03
"""Seconds between two events of the provider, so that each is read by itself."""

URLS: Mapping[str, str] = {
    "untouched": "https://api.openai.com/v1/chat/completions",
    "translated": "https://api.mistral.ai/v1/chat/completions",
}
"""What a client calls, by what becomes of the call."""

_CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ provider = "mistral" }}
to = ["anthropic/claude-sonnet-4-5"]
"""
_CLIENTS_KEY = {"authorization": "Bearer sk-client-0123456789"}
_REQUEST = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


@dataclass(frozen=True, slots=True)
class House:
    """A proxy with the probe, and a client of it whose connections stay open."""

    proxy: Proxy
    client: httpx.Client

    def way(self, kind: str, calls: int = CALLS) -> Way:
        """The one with the fewest moves of so many calls but the first."""
        _, *ways = [self._call(URLS[kind]) for _ in range(calls)]
        return min(ways, key=lambda way: way.moves.total())

    def _call(self, url: str) -> Way:
        seen = self.proxy.log.count(probe.MARK)
        self.client.post(url, headers=_CLIENTS_KEY, json=_REQUEST).raise_for_status()
        log = self.proxy.wait_log(probe.MARK, count=seen + 1)
        return Way.read(log.rpartition(probe.MARK)[2].partition("\n")[0])


@contextmanager
def house(tokens: int) -> Iterator[House]:
    """Its provider answers with so many tokens, one in each event."""
    texts = [f"word{number} " for number in range(tokens)]
    with tempfile.TemporaryDirectory() as name, VendorThread() as vendor:
        vendor.on(path="/v1/chat/completions").always(_paced(chat_stream(texts)))
        vendor.on(path="/v1/messages").always(_paced(messages_stream(texts)))
        scripts = (Path(probe.__file__), ADDON)
        config = _CONFIG.format(url=vendor.base_url)
        with Proxy(Path(name), config, keys={"ONE": "sk-pool-one"}, scripts=scripts) as proxy:
            trust = ssl.create_default_context(cafile=str(proxy.ca))
            with httpx.Client(proxy=proxy.url, verify=trust, trust_env=False, timeout=30) as client:
                yield House(proxy, client)


def _paced(events: Sequence[bytes]) -> Reply:
    steps = tuple(step for event in events for step in (Send(event), Pause(GAP)))
    return Reply(200, (("content-type", "text/event-stream"),), steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.callpath",
        description="Which files one call goes through: of seven calls, the one with the fewest moves.",
    )
    parser.add_argument("--tokens", type=int, default=2, help="that the provider sends (default 2)")
    parser.add_argument("--most", type=int, default=60, help="moves that are named (default 60)")
    parser.add_argument("--functions", action="store_true", help="name moves by functions, not by files")
    chosen = parser.parse_args()
    with house(chosen.tokens) as found:
        for kind in URLS:
            print(*table(kind, found.way(kind), chosen.most, functions=chosen.functions), "", sep="\n")


if __name__ == "__main__":
    main()
