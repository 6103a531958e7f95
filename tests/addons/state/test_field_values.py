"""What rules with `persist` hold, in a file that outlives the proxy."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.secrets.redaction import Redactor
from addons.state.field_values import FieldValues
from rewrite.fields.rule import Rule
from rewrite.fields.store import Store, key_of
from tests.rewrite.fields.rules import rule

A, B = key_of("a"), key_of("b")
KEPT, PASSING = replace(rule(), persist=True), rule(name="passing")
SECRET = "sk-pool-0123456789abcdef"


@dataclass
class Proxy:
    """One run of a proxy, whose machine started `started` seconds after 0 of the wall clock."""

    folder: Path
    rules: tuple[Rule, ...] = (KEPT, PASSING)
    started: float = 0.0
    now: float = 1000.0
    """By the wall clock."""
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        redactor = Redactor()
        redactor.keep([SecretStr(SECRET)])
        self.values = FieldValues(
            self.store, self.steady, redactor.holds_secret, self.failed, wall=lambda: self.now
        )
        self.values.configure(str(self.folder), self.folder, self.rules)

    def steady(self) -> float:
        return self.now - self.started

    def failed(self, what: str, error: Exception) -> None:
        raise AssertionError(what) from error

    def put(self, key: bytes, *values: object, by: Rule = KEPT) -> None:
        self.store.put(by, key, values, self.steady())

    def get(self, key: bytes, by: Rule = KEPT) -> tuple[object, ...]:
        return self.store.get(by, key, self.steady())

    def tick(self) -> None:
        asyncio.run(self.values.tick())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fields.json"


def test_values_outlive_a_restart(tmp_path: Path, file: Path) -> None:
    first = Proxy(tmp_path)
    first.put(A, {"text": "ä"}, 2)
    first.put(B, "passing", by=PASSING)
    first.put(B, "half a character: \ud800")
    first.tick()
    assert file.stat().st_mode & 0o777 == 0o600
    later = Proxy(tmp_path, started=5000.0, now=6000.0)
    assert later.get(A) == ({"text": "ä"}, 2)
    assert later.get(B) == later.get(B, PASSING) == ()


def test_a_value_lasts_no_longer_for_a_restart(tmp_path: Path) -> None:
    brief = replace(KEPT, ttl=10.0)
    first = Proxy(tmp_path, rules=(brief,))
    first.put(A, 1, by=brief)
    first.tick()
    assert Proxy(tmp_path, (brief,), started=900.0, now=1009.0).get(A, brief) == (1,)
    later = Proxy(tmp_path, (brief,), started=900.0, now=1009.0)
    later.now = 1010.0
    assert later.get(A, brief) == ()
    assert Proxy(tmp_path, (brief,), now=1010.0).get(A, brief) == ()


def test_a_wall_clock_that_was_set_back_makes_nothing_older_than_new(tmp_path: Path) -> None:
    first = Proxy(tmp_path)
    first.put(A, 1)
    first.tick()
    assert Proxy(tmp_path, now=10.0).get(A) == (1,)


def test_without_such_a_rule_no_file_is_touched(tmp_path: Path, file: Path) -> None:
    file.write_text("not ours")
    proxy = Proxy(tmp_path, rules=(PASSING,))
    proxy.put(A, 1, by=PASSING)
    proxy.tick()
    assert [each.name for each in tmp_path.iterdir()] == ["fields.json"]
    assert file.read_text() == "not ours"


def test_nothing_is_written_while_nothing_changes(tmp_path: Path, file: Path) -> None:
    proxy = Proxy(tmp_path)
    proxy.put(A, 1)
    proxy.tick()
    before = file.stat().st_ino
    proxy.get(A)
    proxy.put(B, 2, by=PASSING)
    proxy.tick()
    assert file.stat().st_ino == before
    proxy.put(B, 2)
    proxy.tick()
    assert file.stat().st_ino != before


@pytest.mark.parametrize("escape", [str, lambda text: json.dumps({"key": text})], ids=["plain", "in JSON"])
def test_a_value_with_a_secret_is_not_written(
    tmp_path: Path, file: Path, escape: Callable[[str], str]
) -> None:
    proxy = Proxy(tmp_path)
    proxy.put(A, escape(f"it is {SECRET}."))
    proxy.put(B, "eyJhbGciOiJIUzI1NiJ9.eyJhbGciOiJIUzI1NiJ9.of the provider's own")
    proxy.tick()
    assert SECRET not in file.read_text()
    later = Proxy(tmp_path)
    assert later.get(A) == ()
    assert later.get(B) != ()


def test_proxies_on_one_folder_do_not_wipe_each_others_values(tmp_path: Path) -> None:
    one, other = Proxy(tmp_path), Proxy(tmp_path, started=500.0)
    one.put(A, "one")
    one.tick()
    other.put(B, "other")
    other.tick()
    assert other.get(A) == ("one",)
    both = Proxy(tmp_path)
    assert (both.get(A), both.get(B)) == (("one",), ("other",))
    one.now = other.now = 1005.0
    other.put(A, "later")
    other.tick()
    one.put(B, "latest")
    one.tick()
    assert (one.get(A), one.get(B)) == (("later",), ("latest",))


def test_a_value_that_was_let_go_stays_away(tmp_path: Path) -> None:
    small = replace(KEPT, max_values=1)
    proxy = Proxy(tmp_path, rules=(small,))
    proxy.put(A, 1, by=small)
    proxy.tick()
    proxy.put(B, 2, by=small)
    proxy.tick()
    assert Proxy(tmp_path, rules=(small,)).get(A, small) == ()
    assert Proxy(tmp_path, rules=(small,)).get(B, small) == (2,)


def test_values_of_rules_of_another_config_stay(tmp_path: Path) -> None:
    proxy, other = Proxy(tmp_path), replace(KEPT, name="other")
    proxy.put(A, 1)
    proxy.tick()
    foreign = Proxy(tmp_path, rules=(other,))
    foreign.put(B, 2, by=other)
    foreign.tick()
    assert Proxy(tmp_path).get(A) == (1,)
    foreign.values.configure(str(tmp_path), tmp_path, (other, KEPT))
    assert foreign.get(A) == (1,)


@pytest.mark.parametrize("damaged", [b"{", b'{"version": 9}'])
def test_a_file_of_no_use_is_set_aside(
    tmp_path: Path, file: Path, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(damaged)
    proxy = Proxy(tmp_path)
    proxy.put(A, 1)
    proxy.tick()
    assert Proxy(tmp_path).get(A) == (1,)
    assert "what it held is not known" in caplog.text
    assert (tmp_path / "fields.damaged").exists()


def test_a_folder_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    proxy = Proxy(blocked / "state")
    proxy.put(A, 1)
    proxy.tick()
    assert proxy.get(A) == (1,)
    assert caplog.text.count("fields of answers are in memory alone") == 1


async def _written_at_the_end(proxy: Proxy) -> None:
    proxy.values.start()
    proxy.put(A, 1)
    await proxy.values.stop()


def test_what_was_not_written_is_written_at_the_end(tmp_path: Path) -> None:
    asyncio.run(_written_at_the_end(Proxy(tmp_path)))
    assert Proxy(tmp_path).get(A) == (1,)


async def test_nothing_looks_for_changes_until_a_rule_persists(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, rules=(PASSING,))
    alone = asyncio.all_tasks()
    proxy.values.start()
    assert asyncio.all_tasks() == alone
    proxy.values.configure(str(tmp_path), tmp_path, (KEPT,))
    assert len(asyncio.all_tasks()) == len(alone) + 1
    await proxy.values.stop()
