"""`rotator usage`: what it says of a made-up ledger, of files, and of a real proxy that works."""

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from addons.usage.queries import MEMORY, Row, Usage, from_data
from addons.usage.schema import VERSION, open_to_write
from addons.usage.store import write
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import Tokens
from rotator import usage_text
from tests.addons.usage.calls import call
from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.rotator.command import rotator
from tests.vendor import VendorThread, chat_error

KEYS = {"OPENAI_API_KEY_1": "sk-pool-number-one-0001", "OPENAI_API_KEY_2": "sk-pool-number-two-0002"}
CONFIG = '[providers.openai]\nbase_url = "{url}"\n'
SINCE = datetime(2026, 11, 16).timestamp()  # noqa: DTZ001  # of this place


def row(*group: str, calls: int = 1, **more: Any) -> Row:
    given = {"cost": 0.0, "unpriced": 0, "retried": 0, "repaired": 0, "failed": 0, **more}
    return Row(
        group,
        calls,
        given.pop("tokens", Tokens(input=10, output=20)),
        failed_tokens=given.pop("failed_tokens", 0),
        failed_cost=given.pop("failed_cost", 0.0),
        estimated=given.pop("estimated", 0),
        first_token=given.pop("first_token", None),
        **given,
    )


OPUS = row(
    *("anthropic", "claude-opus-4-5"),
    calls=120,
    tokens=Tokens(input=81_000, cache_read=2_400_000, cache_write=90_000, output=64_000, reasoning=9_000),
    cost=12.345,
    retried=4,
    repaired=1,
    first_token=1.234,
)
MINI = row("openai", "gpt-5-mini", calls=9, cost=0.01234, failed=2, first_token=0.51)
OWN = row("lab", "", calls=3, unpriced=3)
TOTAL = row(
    calls=132,
    tokens=Tokens(input=81_020, cache_read=2_400_000, cache_write=90_000, output=64_040, reasoning=9_000),
    cost=12.35734,
    unpriced=3,
    retried=4,
    repaired=1,
    failed=2,
    failed_tokens=1200,
    failed_cost=0.002,
    estimated=2,
    first_token=1.1,
)
USAGE = Usage(SINCE, ("provider", "model"), (OPUS, MINI, OWN), TOTAL)
SHOWN = """\
usage since 2026-11-16 00:00, kept in the memory of the proxy, until it ends
                                          cache  cache                                              first
provider   model            calls  input   read  write  output    cost  retried  repaired  failed   token
anthropic  claude-opus-4-5    120  81.0k   2.4M  90.0k   64.0k  $12.35        4         1           1.2 s
openai     gpt-5-mini           9     10                    20  $0.012                          2  0.51 s
lab        -                    3     10                    20       ?
all                           132  81.0k   2.4M  90.0k   64.0k  $12.36        4         1       2   1.1 s
3 calls have no known price, and no share in the cost
the tokens of 2 calls are estimates, at least in part
attempts of which no client got anything used 1,200 tokens more ($0.002)
not shown for want of width: reasoning
"""
NARROW = """\
usage since 2026-11-16 00:00, kept in the memory of the proxy, until it ends
                                          cache
provider   model            calls  input   read  output    cost  retried  failed
anthropic  claude-opus-4-5    120  81.0k   2.4M   64.0k  $12.35        4
openai     gpt-5-mini           9     10             20  $0.012                2
lab        -                    3     10             20       ?
all                           132  81.0k   2.4M   64.0k  $12.36        4       2
3 calls have no known price, and no share in the cost
the tokens of 2 calls are estimates, at least in part
attempts of which no client got anything used 1,200 tokens more ($0.002)
not shown for want of width: cache write, reasoning, repaired, first token
"""


def written(found: Usage, *, chart: bool = False, width: int = 110) -> str:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        for part in usage_text.rendered(found, usage_text.place_of(MEMORY), width, chart=chart):
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def test_the_table() -> None:
    assert written(USAGE) == SHOWN


def test_a_narrow_terminal_has_what_fits() -> None:
    assert written(USAGE, width=80) == NARROW


def test_a_chart_has_a_bar_for_each_row_by_its_cost() -> None:
    lines = written(USAGE, chart=True).splitlines()
    bars = [line for line in lines if "█" in line]
    assert [line.count("█") for line in bars] == [40]
    assert bars[0].endswith("$12.35")
    by_calls = Usage(SINCE, ("day",), (row("2026-11-16", calls=4), row("2026-11-17", calls=2)), row(calls=6))
    bars = [line for line in written(by_calls, chart=True).splitlines() if "█" in line]
    assert [(line.count("█"), line.split()[-1]) for line in bars] == [(40, "4"), (20, "2")]


def test_a_name_is_no_markup() -> None:
    odd = row("[red]x[/red]", "[/]")
    assert "[red]x[/red]" in written(Usage(SINCE, ("provider", "model"), (odd,), row()))


def test_an_empty_ledger_says_what_to_do() -> None:
    said = written(Usage(SINCE, ("provider",), (), row(calls=0)))
    assert "no calls since 2026-11-16 00:00" in said
    assert "run -- TOOL" in said


def test_rows_for_a_spreadsheet() -> None:
    lines = [*csv.DictReader(usage_text.csv_of(USAGE).splitlines())]
    assert [(line["provider"], line["model"], line["calls"]) for line in lines] == [
        ("anthropic", "claude-opus-4-5", "120"),
        ("openai", "gpt-5-mini", "9"),
        ("lab", "", "3"),
    ]
    assert (lines[0]["cache_read"], lines[0]["cost"], lines[2]["first_token"]) == ("2400000", "12.345", "")


# -- files ---------------------------------------------------------------------------------------------


def kept(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_to_write(file)) as connection:
        write(connection, [call(1), call(2, provider="anthropic", cost=None, verdict=Verdict.SPARE)])
    return file


def test_the_file_of_proxies_of_ours_is_read_where_none_is_up(tmp_path: Path) -> None:
    kept(tmp_path / ".local" / "state" / "rotator" / "usage.sqlite")
    said = rotator(tmp_path, "usage", "--since", "2026-11-23", "--json", environment=_nobody())
    found = from_data(json.loads(said.stdout))
    assert {each.group: each.calls for each in found.rows} == {
        ("openai", "gpt-4o"): 1,
        ("anthropic", "gpt-4o"): 1,
    }


def test_a_file_that_is_named_is_read(tmp_path: Path) -> None:
    file = kept(tmp_path / "mine.sqlite")
    said = rotator(tmp_path, "usage", "--since", "2026-11-23", "--by", "day,credential", "--file", str(file))
    assert said.returncode == 0
    assert "2026-11-23  work" in said.stdout
    assert "1 call has no known price" in said.stdout


def _nobody() -> dict[str, str]:
    """No proxy is up here."""
    return {"HTTPS_PROXY": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--since", "yesterday"), 2, "'yesterday' is no time: say 24h, 7d, 4w, or a date"),
        (("--by", "key"), 2, "calls cannot be counted by 'key': name some of provider, model"),
        ((), 1, "usage.sqlite as yet"),
        (("--file", "gone.sqlite"), 1, "gone.sqlite: there is no such file"),
        (("--file", "text.txt"), 1, "text.txt: usage cannot be read: file is not a database"),
        (("--file", "later.sqlite"), 1, f"it is of a later version ({VERSION + 1}"),
    ],
)
def test_what_cannot_be_shown(tmp_path: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    (tmp_path / "text.txt").write_text("hello " * 1000)
    with closing(open_to_write(tmp_path / "later.sqlite")) as later:
        later.execute(f"PRAGMA user_version = {VERSION + 1}")
    said = rotator(tmp_path, "usage", *arguments, environment=_nobody() | {"NO_COLOR": "1"})
    assert (said.returncode, said.stdout) == (status, "")
    assert message in said.stderr
    assert "Traceback" not in said.stderr


def test_where_usage_is_kept_is_said() -> None:
    assert usage_text.place_of(MEMORY) == "in the memory of the proxy, until it ends"
    assert usage_text.place_of("127.0.0.1:6379/0", 3) == "by all proxies (3 now) in 127.0.0.1:6379/0"
    alone = usage_text.place_of("usage.sqlite", alone=True)
    assert alone == "in usage.sqlite, of this proxy alone: the store of all cannot be reached"


# -- a real proxy ----------------------------------------------------------------------------------------


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


def ask(proxy: Proxy, *, stream: bool = True) -> None:
    request = {"stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    found = sdk.run("openai-current", "openai_chat", proxy.environment(), calls=1, request=request)
    assert found["error"] is None


def page(proxy: Proxy, **query: str) -> httpx.Response:
    with httpx.Client(proxy=proxy.url, trust_env=False) as http:
        return http.get("http://rotator.local/usage", params=query)


@pytest.mark.parametrize("in_file", [False, True])
def test_a_proxy_counts_its_calls(vendor: VendorThread, tmp_path: Path, *, in_file: bool) -> None:
    options = ("--set", "rotator_usage=usage.sqlite") if in_file else ()
    first = KEYS["OPENAI_API_KEY_1"]
    vendor.on(key=first).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS, options=options) as proxy:
        ask(proxy)
        ask(proxy, stream=False)
        said = _counted(proxy, 2)
        assert said["kept"] == (str(tmp_path / "usage.sqlite") if in_file else "memory")
        (by_key,) = page(proxy, by="credential,user").json()["rows"]
        assert (by_key["credential"], by_key["user"]) == ("OPENAI_API_KEY_2", "")
        shown = rotator(tmp_path, "usage", environment=proxy.environment())
        assert shown.returncode == 0, shown.stderr
        assert "openai" in shown.stdout
        assert not any(key in shown.stdout for key in KEYS.values())
    if in_file:
        assert not any(key.encode() in (tmp_path / "usage.sqlite").read_bytes() for key in KEYS.values())
        again = rotator(tmp_path, "usage", "--file", "usage.sqlite", "--json")
        assert json.loads(again.stdout)["total"]["calls"] == 2


def _counted(proxy: Proxy, calls: int) -> dict[str, Any]:
    """The usage, once so many calls are written."""
    proxy.wait_log("verdict=", count=calls)
    while True:
        said: dict[str, Any] = page(proxy).json()
        if said["total"]["calls"] == calls:
            return said


def test_what_is_asked_wrongly_is_refused(vendor: VendorThread, tmp_path: Path) -> None:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        assert page(proxy, since="soon").status_code == 400
        assert "name some of provider" in page(proxy, by="key").text


def test_who_called_is_known_by_proxyauth(vendor: VendorThread, tmp_path: Path) -> None:
    options = ("--set", "proxyauth=alice:her-password")
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS, options=options) as proxy:
        url = f"http://alice:her-password@127.0.0.1:{proxy.port}"
        request = {"stream": True, "messages": [{"role": "user", "content": "hello"}]}
        environment = proxy.environment() | {"HTTPS_PROXY": url}
        assert (
            sdk.run("openai-current", "openai_chat", environment, calls=1, request=request)["error"] is None
        )
        proxy.wait_log("verdict=")
        shown = rotator(tmp_path, "usage", "--by", "user", "--json", environment={"HTTPS_PROXY": url})
        while json.loads(shown.stdout)["total"]["calls"] < 1:
            shown = rotator(tmp_path, "usage", "--by", "user", "--json", environment={"HTTPS_PROXY": url})
        assert [each["user"] for each in json.loads(shown.stdout)["rows"]] == ["alice"]
        assert "her-password" not in shown.stdout
