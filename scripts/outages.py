"""How SDKs come through an outage of their provider, by themselves and behind rotator.

    python -m scripts.outages [SECONDS ...]      1, 5 and 20 by default

The provider is a fake one on loopback that resets every connection in the TLS handshake for so long, counted
from the first one. Printed is what each SDK came to, and after how many seconds. The status is not 0 where an
SDK that gets its answer by itself gets none behind rotator.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from scripts.sdks import SdkMissing, interpreter
from tests.e2e import sdk as sdks
from tests.e2e.outage import outage
from tests.e2e.proxy import Proxy
from tests.e2e.wires import TEXT, WIRES, Wire
from tests.vendor import Vendor, VendorThread, streamed

_SECONDS = (1.0, 5.0, 20.0)
_HOST = "outage.test"
_PATIENCE = 300.0


@dataclass(slots=True)
class Away:
    """Whether the provider still is, until `seconds` after the first connection; `began`: when that was."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float | None = None

    def __call__(self) -> bool:
        now = self.clock()
        self.began = now if self.began is None else self.began
        return now < self.began + self.seconds


@dataclass(frozen=True, slots=True)
class Came:
    """What one SDK came to, and when."""

    answered: bool
    words: str
    seconds: float = field(compare=False)

    def __str__(self) -> str:
        return f"{self.words} after {self.seconds:.1f} s"


def direct(sdk: str, seconds: float) -> Came:
    away = Away(seconds)
    with vendor_of(WIRES[sdk]) as vendor, outage(vendor, away) as port:
        base_url = f"https://127.0.0.1:{port}{WIRES[sdk].base_path}"
        return _asked(sdk, base_url, {"SSL_CERT_FILE": str(vendor.ca_path)}, away)


def behind(sdk: str, seconds: float) -> Came:
    wire, away = WIRES[sdk], Away(seconds)
    with (
        tempfile.TemporaryDirectory() as folder,
        vendor_of(wire) as vendor,
        outage(vendor, away) as port,
        Proxy(
            Path(folder),
            _config(wire, port),
            keys={"ONE": "sk-pool-one"},
            options=("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}"),
        ) as proxy,
    ):
        return _asked(sdk, f"https://{_HOST}{wire.base_path}", proxy.environment(), away)


def vendor_of(wire: Wire) -> VendorThread:
    return VendorThread(Vendor(tls=True, default=lambda _: streamed(wire.stream())))


def _config(wire: Wire, port: int) -> str:
    return f"""
[providers.outage]
base_url = "https://127.0.0.1:{port}"
hosts = ["{_HOST}"]
protocols = ["{wire.protocol}"]
auth = "{wire.auth}"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""


def _asked(sdk: str, base_url: str, environment: Mapping[str, str], away: Away) -> Came:
    job = {"client": {"base_url": base_url}, "request": {"stream": True}}
    came = sdks.run(sdk, WIRES[sdk].client, environment, timeout=_PATIENCE, jobs=[job])
    (result,) = came["results"]
    error = result["error"]
    words = f"{error['type']} {error.get('status', '')}".strip() if error else "answer"
    return Came(result["text"] == TEXT, words, time.monotonic() - (away.began or 0.0))


def _is_there(sdk: str) -> bool:
    try:
        interpreter(sdk)
    except SdkMissing as missing:
        print(f"left out: {missing}", file=sys.stderr)
        return False
    return True


def main() -> int:
    lengths = [float(each) for each in sys.argv[1:]] or _SECONDS
    cells = [(sdk, seconds) for seconds in lengths for sdk in WIRES if _is_there(sdk)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda cell: (direct(*cell), behind(*cell)), cells))
    for (sdk, seconds), (alone, ours) in zip(cells, found, strict=True):
        print(f"{seconds:4.0f} s  {sdk:20} alone: {alone!s:36} behind rotator: {ours}")
    worse = any(alone.answered and not ours.answered for alone, ours in found)
    return 1 if worse or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
