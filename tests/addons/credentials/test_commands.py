"""The commands that look at pools and steer them, as mitmproxy runs and completes them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy import command, exceptions, types
from mitmproxy.test import taddons
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.commands import Commands
from addons.credentials.overview import Overview
from addons.credentials.pool import Pool
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.credentials.notices import Notice


class Bench:
    """Commands over a pool, and what was noted."""

    def __init__(self, manager: command.CommandManager) -> None:
        self.notes: list[Notice] = []
        self.now = 100.0
        self.traced = 0
        self.pool = Pool(self.clock, self.notes.append)
        self.overview, self.commands = Overview(self.pool, self.clock), manager
        ours = Commands(self.pool, self.overview, self.trace_next, self.notes.append)
        manager.collect_commands(ours)  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def clock(self) -> float:
        return self.now

    def run(self, line: str) -> object:
        return self.commands.execute(line)

    def trace_next(self, calls: int) -> Path:
        self.traced = calls
        return Path("/var/traces")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """In an event loop: without one mitmproxy 12.1 makes one that it does not close."""
    with taddons.context() as context:  # type: ignore[no-untyped-call]
        bench = Bench(context.master.commands)
        known = [
            Configured(
                Provider(provider, f"https://{provider}", (provider,), ("openai_chat",)),
                tuple(PoolCredential(Credential(name, provider), SecretStr(f"sk-{name}")) for name in names),
            )
            for provider, names in (("openai", ["one", "two"]), ("groq", ["one"]), ("xai", []))
        ]
        bench.pool.configure(Settings(providers=tuple(known)))
        yield bench


def test_the_status_is_lines(bench: Bench) -> None:
    assert bench.run("rotator.status") == [
        "openai: 2 keys, sequential",
        "openai/one: ready",
        "openai/two: ready",
        "groq: 1 key, sequential",
        "groq/one: ready",
    ]


async def test_without_a_pool_the_status_says_so() -> None:
    with taddons.context() as context:  # type: ignore[no-untyped-call]
        (line,) = Bench(context.master.commands).commands.execute("rotator.status")
    assert line == "there is no pool: list credentials in the config"


def test_a_credential_is_cooled_retired_resumed_and_reset(bench: Bench) -> None:
    bench.run("rotator.cool openai one 60")
    assert bench.overview.lines()[1] == "openai/one: is paused by a command and is tried again in 60 s"
    bench.run("rotator.retire openai two")
    assert bench.overview.lines()[2:] == [
        "openai/two: is retired",
        "groq: 1 key, sequential",
        "groq/one: ready",
    ]
    bench.run("rotator.resume openai two")
    assert bench.overview.lines()[1:3] == [
        "openai/one: is paused by a command and is tried again in 60 s",
        "openai/two: ready",
    ]
    bench.run("rotator.reset openai")
    assert bench.overview.lines()[1] == "openai/one: ready"
    assert [note.text for note in bench.notes] == [
        "cooled: openai/one is not used for 60 s",
        "retired: openai/two is not used until rotator.resume",
        "resumed: openai/two may be used at once",
        "reset: openai starts as if never used",
    ]


@pytest.mark.parametrize("line", ["rotator.resume", "rotator.resume openai", "rotator.resume openai/one"])
def test_all_of_a_provider_or_one_by_a_slash_are_resumed(bench: Bench, line: str) -> None:
    bench.run("rotator.retire openai one")
    bench.run(line)
    assert bench.overview.lines()[1] == "openai/one: ready"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rotator.resume openai three", "there is no key of openai/three: there is openai, groq, openai/one"),
        ("rotator.resume nowhere", "there is no key of nowhere"),
        ("rotator.retire xai one", "there is no key of xai/one"),
        ("rotator.reset openai/three", "there is no key of openai/three"),
        ("rotator.cool groq two 5", "there is no key of groq/two"),
        ("rotator.cool groq one 0", "name the seconds, from 1 to 31622400"),
        (f"rotator.cool groq one 1{'0' * 400}", "name the seconds, from 1 to 31622400"),
        ('rotator.cool openai "" 60', "name one key"),
        ('rotator.retire openai ""', "name one key"),
        ('rotator.retire "" one', "name one key"),
    ],
)
def test_what_is_not_there_is_said(bench: Bench, line: str, message: str) -> None:
    with pytest.raises(exceptions.CommandError) as error:
        bench.run(line)
    assert message in str(error.value)
    assert bench.notes == []


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("rotator.cool ", [["openai", "groq"], ["one", "two"], []]),
        ("rotator.retire ", [["openai", "groq"], ["one", "two"]]),
        ("rotator.resume ", [["openai", "groq", "openai/one", "openai/two", "groq/one"], ["one", "two"]]),
        ("rotator.reset ", [["openai", "groq", "openai/one", "openai/two", "groq/one"], ["one", "two"]]),
    ],
)
def test_arguments_are_completed(bench: Bench, line: str, completed: list[list[str]]) -> None:
    _, expected = bench.commands.parse_partial(line)
    kinds = [(one.type, types.CommandTypes.get(one.type)) for one in expected]
    assert [kind.completion(bench.commands, one, "") for one, kind in kinds if kind] == completed


def test_every_command_says_what_it_does(bench: Bench) -> None:
    ours = {name: one for name, one in bench.commands.commands.items() if name.startswith("rotator.")}
    assert len(ours) == 9
    assert all(one.help for one in ours.values())
    assert ours["rotator.cool"].signature_help() == "rotator.cool provider name seconds"


# -- traces -------------------------------------------------------------------------------------------


def test_the_next_calls_are_traced(bench: Bench) -> None:
    bench.run("rotator.trace 3")
    assert (bench.traced, bench.notes) == (3, [Notice("traced: the next 3 calls, in /var/traces")])
    bench.run("rotator.trace 0")
    assert (bench.traced, bench.notes[1]) == (0, Notice("no more calls are traced"))


@pytest.mark.parametrize("calls", ["-1", "1000001"])
def test_a_number_of_calls_to_trace_has_bounds(bench: Bench, calls: str) -> None:
    with pytest.raises(exceptions.CommandError, match="from 0 to 1000000"):
        bench.run(f"rotator.trace {calls}")
