"""Plays the rows of the fault table: fake providers, a proxy for each mode, and SDKs in batches."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import sdk as sdks
from tests.e2e.fault_row import CLIENT, Row
from tests.e2e.fault_table import ROWS
from tests.e2e.proxy import Proxy
from tests.e2e.wires import WIRES, Wire
from tests.vendor import Answer, Received, Vendor, VendorThread, streamed, whole

_HASTY = """
[streaming]
first_event_timeout = 1
first_token_timeout = 1
slow_start_timeout = 1
stall_timeout = 1
response_timeout = 1
[retry]
deadline = 5
"""
MODES = {
    "auto": "",
    "hasty": _HASTY,
    "repair": '[streaming]\non_truncation = "repair"\n',
    "error": '[streaming]\non_truncation = "error"\n',
    "hold": "[streaming]\nhold_tool_calls = true\n",
}
KEYS = {"ONE": "sk-pool-one", "TWO": "sk-pool-two"}
_NAMES = {"sk-pool-one": "one", "sk-pool-two": "two", "sk-the-clients-own": CLIENT}
_OWN = "sk-the-clients-own"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one row came to: the SDK's last answer, what the provider got, the record's last word."""

    result: Mapping[str, Any]
    requests: tuple[Received, ...]
    end: str

    @property
    def attempts(self) -> str:
        return " ".join(_NAMES[request.credential] for request in self.requests)


class Bench:
    """Every row that an SDK can play in a mode is played when the first of them is asked for."""

    def __init__(self, folder: Path, plain: VendorThread, tls: VendorThread, running: ExitStack) -> None:
        self._folder, self._plain, self._tls, self._running = folder, plain, tls, running
        self._proxies: dict[str, Proxy] = {}
        self._results: dict[tuple[str, str], Mapping[str, Mapping[str, Any]]] = {}

    def play(self, row: Row, sdk: str) -> Seen:
        played = (row.mode, sdk)
        if played not in self._results:
            self._results[played] = self._play(row.mode, sdk)
        name, vendor = named(row, sdk), self._vendor(row)
        requests = tuple(request for request in vendor.requests if request.path.startswith(f"/{name}/"))
        if row.hangs:
            vendor.run(requests[0].closed_by_client.wait())
        return Seen(self._results[played][name], requests, self._end(row, name))

    def _play(self, mode: str, sdk: str) -> Mapping[str, Mapping[str, Any]]:
        proxy = self._proxy(mode)
        rows = [row for row in ROWS if row.mode == mode and WIRES[sdk] in row.wires]
        for row in rows:
            queue = self._vendor(row).on(path=f"/{named(row, sdk)}{WIRES[sdk].path}")
            for answer in row.answers(WIRES[sdk]):
                queue.reply(answer)
            queue.always(healthy(row, WIRES[sdk]))
        jobs = [_job(row, sdk, WIRES[sdk]) for row in rows]
        results = sdks.run(sdk, WIRES[sdk].client, proxy.environment(), jobs=jobs)["results"]
        return {named(row, sdk): result for row, result in zip(rows, results, strict=True)}

    def _vendor(self, row: Row) -> VendorThread:
        return self._tls if row.tls else self._plain

    def _proxy(self, mode: str) -> Proxy:
        if mode not in self._proxies:
            folder = self._folder / mode
            folder.mkdir()
            tables = [self._table(row, sdk) for row in ROWS for sdk in WIRES if row.mode == mode]
            options = ["--set", f"ssl_verify_upstream_trusted_ca={self._tls.ca_path}"]
            proxy = Proxy(folder, MODES[mode] + "".join(tables), keys=KEYS, options=options)
            self._proxies[mode] = self._running.enter_context(proxy)
        return self._proxies[mode]

    def _table(self, row: Row, sdk: str) -> str:
        name, wire = named(row, sdk), WIRES[sdk]
        pool = ", ".join(f'{{ name = "{key}", key = "env:{key.upper()}" }}' for key in row.pool)
        return f"""
[providers.{name}]
base_url = "{self._vendor(row).base_url}/{name}"
hosts = ["{name}.test"]
protocols = ["{wire.protocol}"]
auth = "{wire.auth}"
credentials = [{pool}]
"""

    def _end(self, row: Row, name: str) -> str:
        proxy = self._proxies[row.mode]
        log = proxy.wait_log(f"provider={name} ", count=row.asked or row.calls)
        ends: list[str] = re.findall(rf"provider={re.escape(name)} .*?\bend=(\w+)", log)
        assert len(ends) == (row.asked or row.calls), f"the proxy saw {len(ends)} calls"
        return ends[-1]


def named(row: Row, sdk: str) -> str:
    """The provider of a row, which is the first label of its host and of its path as well."""
    return f"{row.name}-{sdk}"


def healthy(row: Row, wire: Wire) -> Answer:
    return streamed(wire.stream()) if row.request["stream"] else whole(wire.answer())


def _job(row: Row, sdk: str, wire: Wire) -> dict[str, Any]:
    base_url = f"https://{named(row, sdk)}.test{wire.base_path}"
    client = {"base_url": base_url, **row.client}
    return {"key": _OWN, "client": client, "request": row.request, "calls": row.calls}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with (
        VendorThread() as plain,
        VendorThread(Vendor(tls=True)) as tls,
        ExitStack() as running,
    ):
        yield Bench(folder, plain, tls, running)
