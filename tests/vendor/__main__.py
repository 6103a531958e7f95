"""A provider to point a client at by hand: keys named with --fail misbehave, every other is answered."""

import argparse
import asyncio
import signal
from collections.abc import Mapping, Sequence

from tests.vendor.defaults import FAULTS, asked, healthy, not_found
from tests.vendor.http1 import Received
from tests.vendor.script import Answer
from tests.vendor.server import Vendor


class Clerk:
    """Chooses the answer by the credential and prints a line per request; a key is never printed whole."""

    def __init__(self, faults: Mapping[str, str], pause: float) -> None:
        self._faults = faults
        self._pause = pause

    def __call__(self, received: Received) -> Answer:
        fault, answer = self._choose(received)
        place = f"#{received.number} {received.method} {received.path}"
        print(f"{place} {masked(received.credential)} -> {fault}", flush=True)
        return answer

    def _choose(self, received: Received) -> tuple[str, Answer]:
        call = asked(received)
        if call is None:
            return "404", not_found()
        fault = self._faults.get(received.credential)
        return ("ok", healthy(call, self._pause)) if fault is None else (fault, FAULTS[fault](call))


def masked(credential: str) -> str:
    """The last four characters; a key of four or fewer is not shown at all."""
    if not credential:
        return "(no key)"
    return "..." + (credential[-4:] if len(credential) > 4 else "")


def failing(text: str) -> tuple[str, str]:
    """KEY=FAULT; the key may contain equal signs. Raises ArgumentTypeError for an unknown fault."""
    key, _, fault = text.rpartition("=")
    if not key or fault not in FAULTS:
        raise argparse.ArgumentTypeError(f"expected KEY=FAULT, FAULT one of {', '.join(FAULTS)}")
    return key, fault


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="scripts/vendor", description=__doc__)
    described.add_argument("--port", type=int, default=9911, help="0 takes a free one (default: 9911)")
    described.add_argument("--tls", action="store_true", help="HTTPS with a certificate made for this run")
    faults = ", ".join(FAULTS)
    fail = described.add_argument("--fail", type=failing, action="append", default=[], help=faults)
    fail.metavar = "KEY=FAULT"
    described.add_argument("--pause", type=float, default=0.0, help="seconds of silence before each event")
    return described


async def serve(options: argparse.Namespace) -> None:
    clerk = Clerk(dict(options.fail), options.pause)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Vendor(tls=options.tls, port=options.port, default=clerk) as vendor:
        trust = f", trust {vendor.ca_path}" if options.tls else ""
        print(f"listening on {vendor.base_url}{trust}", flush=True)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    asyncio.run(serve(parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
