"""Tokens over real files and a real endpoint: refreshed once, adopted from the tool, given back to it."""

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.oauth import source as module
from addons.upstream.client import Upstream
from protocols.model.http import parsed
from rewrite.oauth.files import Tokens
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import Dead, Failed
from tests.addons.oauth.places import DEAD, LATE, PATH, Place, after, granted
from tests.rewrite.oauth.logins import (
    CLAUDE,
    CODEX,
    COPILOT,
    EXPIRES,
    GEMINI,
    GENERIC,
    claude_file,
    codex_file,
    copilot_file,
    gemini_file,
    generic_file,
    jwt,
)
from tests.vendor import Hang, Reply, WaitFor, whole


async def test_a_token_that_lasts_is_used_at_once(place: Place, upstream: Upstream) -> None:
    place.now = EXPIRES - 301
    source = place.source()
    tokens = source.at_once()
    assert tokens is not None
    assert tokens.access == "sk-ant-oat01-old"
    assert await source.renewed(upstream) == tokens
    assert place.vendor.requests == []


@pytest.mark.parametrize(
    ("kind", "write"),
    [(CLAUDE, claude_file), (CODEX, codex_file), (GEMINI, gemini_file), (GENERIC, generic_file)],
    ids=lambda each: getattr(each, "name", ""),
)
async def test_a_token_that_is_due_is_refreshed_once_for_all_who_want_it(
    place: Place, upstream: Upstream, kind: OAuthKind, write: Callable[[], str]
) -> None:
    place.kind = kind
    place.write(write())
    access = jwt(EXPIRES + 99_999)
    place.vendor.on(path=PATH).reply(granted(access))
    source = place.source()
    assert source.at_once() is None
    found = await asyncio.gather(*(source.renewed(upstream) for _ in range(20)))
    assert {each.access for each in found if isinstance(each, Tokens)} == {access}
    assert len(place.vendor.requests) == 1
    assert (place.tokens().access, place.tokens().refresh) == (access, "new-refresh")
    assert source.at_once() == found[0]


async def test_the_file_keeps_its_mode_and_its_folder_is_left_clean(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(granted())
    assert isinstance(await place.source().renewed(upstream), Tokens)
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert [each.name for each in place.folder.iterdir()] == ["login.json"]


async def test_a_link_stays_one(place: Place, upstream: Upstream) -> None:
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    place.file.rename(elsewhere / "real.json")
    place.file.symlink_to(elsewhere / "real.json")
    place.vendor.on(path=PATH).reply(granted())
    assert isinstance(await place.source().renewed(upstream), Tokens)
    assert place.file.is_symlink()
    assert place.tokens().access == "new-access"


async def test_two_processes_refresh_once(place: Place, upstream: Upstream) -> None:
    """Two sources share no more than the file, as two proxies do."""
    place.vendor.on(path=PATH).reply(granted())
    one, two = place.source(), place.source()
    found = await asyncio.gather(*(each.renewed(upstream) for each in (one, two) * 10))
    assert {each.access for each in found if isinstance(each, Tokens)} == {"new-access"}
    assert len(place.vendor.requests) == 1


@pytest.mark.parametrize(
    ("kind", "lock"), [(CLAUDE, ".oauth_refresh.lock"), (CODEX, ".login.json.rotator_lock")]
)
async def test_a_refresh_holds_the_lock(place: Place, upstream: Upstream, kind: OAuthKind, lock: str) -> None:
    place.kind = kind
    place.write(claude_file() if kind is CLAUDE else codex_file())
    place.vendor.on(path=PATH).reply(Reply(400, before=(WaitFor("go"),)))
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await place.vendor.wait_gate("go")
    assert (place.folder / lock).is_dir()
    place.vendor.release("go")
    await asking
    assert not (place.folder / lock).exists()


async def test_what_the_tool_refreshed_meanwhile_is_adopted(place: Place, upstream: Upstream) -> None:
    source = place.source()
    assert source.at_once() is None
    place.write(claude_file("by-the-tool", "next", EXPIRES + 28800))
    tokens = source.at_once()
    assert tokens is not None
    assert tokens.access == "by-the-tool"
    assert place.vendor.requests == []


async def test_a_tool_that_holds_the_lock_is_waited_for(place: Place, upstream: Upstream) -> None:
    lock = place.folder / ".oauth_refresh.lock"
    lock.mkdir()
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await asyncio.sleep(0.05)
    place.write(claude_file("by-the-tool", "next", EXPIRES + 28800))
    lock.rmdir()
    found = await asking
    assert isinstance(found, Tokens)
    assert found.access == "by-the-tool"
    assert place.vendor.requests == []


async def test_a_lock_that_is_never_given_back_is_no_end(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT", 0.05)
    (place.folder / ".oauth_refresh.lock").mkdir()
    found = await place.source().renewed(upstream)
    assert isinstance(found, Tokens), "the old token lasts for ten seconds more"
    place.now = EXPIRES + 1
    assert await place.source().renewed(upstream) == Failed("another process holds the lock of its file")


async def test_half_a_file_is_read_again(place: Place, upstream: Upstream) -> None:
    """As codex leaves it while it writes."""
    place.kind = CODEX
    place.write(codex_file()[:100])
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await asyncio.sleep(0.02)
    place.write(codex_file(jwt(EXPIRES + 28800)))
    found = await asking
    assert isinstance(found, Tokens)
    assert found.access == jwt(EXPIRES + 28800)


async def test_a_refused_token_is_refreshed_though_it_is_not_due(place: Place, upstream: Upstream) -> None:
    place.now = EXPIRES - 3600
    place.vendor.on(path=PATH).reply(granted())
    source = place.source()
    tokens = source.at_once()
    assert tokens is not None
    found = await asyncio.gather(*(source.renewed(upstream, tokens.access) for _ in range(5)))
    assert {each.access for each in found if isinstance(each, Tokens)} == {"new-access"}
    assert len(place.vendor.requests) == 1
    late = await source.renewed(upstream, tokens.access)
    assert isinstance(late, Tokens), "its call began before the refresh"
    assert late.access == "new-access"
    assert len(place.vendor.requests) == 1


async def test_a_refused_token_that_the_tool_has_replaced_is_not_refreshed(
    place: Place, upstream: Upstream
) -> None:
    place.now = EXPIRES - 3600
    source = place.source()
    assert source.at_once()
    place.write(claude_file("by-the-tool", "next", EXPIRES + 28800))
    found = await source.renewed(upstream, "sk-ant-oat01-old")
    assert isinstance(found, Tokens)
    assert found.access == "by-the-tool"
    assert place.vendor.requests == []


async def test_a_dead_login_is_not_asked_for_again_until_its_file_changes(
    place: Place, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).always(DEAD)
    source = place.source()
    for _ in range(3):
        assert await source.renewed(upstream) == Dead("400 invalid_grant: gone")
    assert len(place.vendor.requests) == 1
    place.write(claude_file("logged-in-again", "another", EXPIRES + 28800))
    tokens = source.at_once()
    assert tokens is not None
    assert tokens.access == "logged-in-again"


async def test_a_dead_login_is_asked_for_again_on_command(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(DEAD).reply(granted())
    source = place.source()
    assert isinstance(await source.renewed(upstream), Dead)
    source.forgive()
    assert isinstance(await source.renewed(upstream), Tokens)


async def test_a_tool_that_was_faster_without_a_lock_is_right(place: Place, upstream: Upstream) -> None:
    """Codex takes no lock, and the refresh token is used up then."""
    place.kind = CODEX
    place.write(codex_file())
    reused = whole(b'{"error": {"code": "refresh_token_reused", "message": "used"}}', 401)
    place.vendor.on(path=PATH).reply(after(reused, WaitFor("tool")))
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await place.vendor.wait_gate("tool")
    place.write(codex_file(jwt(EXPIRES + 28800), "rt-of-the-tool"))
    place.vendor.release("tool")
    found = await asking
    assert isinstance(found, Tokens)
    assert found.refresh == "rt-of-the-tool"


async def test_a_login_that_was_replaced_meanwhile_is_not_written_over(
    place: Place, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(after(granted(), WaitFor("user")))
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await place.vendor.wait_gate("user")
    place.write(claude_file("of-another-account", "other", EXPIRES + 28800))
    place.vendor.release("user")
    found = await asking
    assert isinstance(found, Tokens)
    assert found.access == "of-another-account"
    assert place.tokens().access == "of-another-account"


async def test_what_others_write_beside_the_tokens_stays(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(after(granted(), WaitFor("tool")))
    asking = asyncio.ensure_future(place.source().renewed(upstream))
    await place.vendor.wait_gate("tool")
    tree = json.loads(place.file.read_text())
    place.write(json.dumps({**tree, "mcpOAuth": {"server": "new"}}))
    place.vendor.release("tool")
    await asking
    assert json.loads(place.file.read_text())["mcpOAuth"] == {"server": "new"}
    assert place.tokens().access == "new-access"


async def test_an_endpoint_that_fails_is_left_alone_for_a_while(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).always(whole(b"{}", 503))
    source = place.source()
    for _ in range(3):
        assert isinstance(await source.renewed(upstream), Tokens), "the old one is good for ten seconds"
    assert len(place.vendor.requests) == 1
    place.now = EXPIRES + 1.0
    assert await source.renewed(upstream) == Failed("503")
    assert len(place.vendor.requests) == 1
    place.now = LATE + 61
    assert await source.renewed(upstream) == Failed("503")
    assert len(place.vendor.requests) == 2


async def test_an_endpoint_that_says_when_is_asked_then(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(whole(b"{}", 429, (("retry-after", "120"),))).reply(granted())
    source = place.source()
    place.now = EXPIRES + 1
    assert await source.renewed(upstream) == Failed("429", 120.0)
    place.now += 119
    assert isinstance(await source.renewed(upstream), Failed)
    place.now += 2
    assert isinstance(await source.renewed(upstream), Tokens)


async def test_an_endpoint_that_says_nothing_is_not_asked_again_at_once(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it made of the request is not known: the refresh token may be used up."""
    monkeypatch.setattr("addons.oauth.asking.DEADLINE", 0.05)
    place.vendor.on(path=PATH).always(Hang())
    source, place.now = place.source(), EXPIRES + 1
    for _ in range(2):
        assert isinstance(await source.renewed(upstream), Failed)
    assert len(place.vendor.requests) == 1


async def test_what_could_not_be_written_is_what_the_next_refresh_goes_by(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh token is used up by its refresh: the one in the file would end the login."""
    place.vendor.on(path=PATH).reply(granted(lasts=600)).reply(granted("newest", "newest-refresh"))
    source = place.source()
    with monkeypatch.context() as full:
        full.setattr(module, "replace_text", _no_room)
        first = await source.renewed(upstream)
    assert isinstance(first, Tokens)
    assert (first.access, place.tokens().access) == ("new-access", "sk-ant-oat01-old")
    assert ["No space left on device" in line for line in place.warned] == [True]
    place.now += 400
    second = await source.renewed(upstream)
    assert isinstance(second, Tokens)
    assert json.loads(place.vendor.requests[1].body)["refresh_token"] == "new-refresh"
    assert (place.tokens().access, place.tokens().refresh) == ("newest", "newest-refresh")


async def test_a_login_that_was_replaced_takes_the_place_of_what_could_not_be_written(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.vendor.on(path=PATH).reply(granted(lasts=600))
    source = place.source()
    with monkeypatch.context() as full:
        full.setattr(module, "replace_text", _no_room)
        await source.renewed(upstream)
    place.write(claude_file("sk-ant-oat01-third", "sk-ant-ort01-third", at=EXPIRES + 86400))
    place.now += 400
    found = await source.renewed(upstream)
    assert isinstance(found, Tokens)
    assert found.access == "sk-ant-oat01-third"


def _no_room(file: Path, text: str) -> None:
    raise OSError(28, "No space left on device", str(file))


async def test_who_leaves_does_not_end_a_refresh(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(after(granted(), WaitFor("late")))
    source = place.source()
    asking = asyncio.ensure_future(source.renewed(upstream))
    await place.vendor.wait_gate("late")
    asking.cancel()
    place.vendor.release("late")
    await source.close()
    assert place.tokens().access == "new-access"
    assert place.changes == 2  # what the file had, and the new one


async def test_a_file_that_is_gone_is_a_dead_login(place: Place, upstream: Upstream) -> None:
    place.file.unlink()
    found = await place.source().renewed(upstream)
    assert found == Dead("its file cannot be read (No such file or directory)")


async def test_a_file_of_others_is_not_read(place: Place, upstream: Upstream) -> None:
    place.file.chmod(0o666)
    found = await place.source().renewed(upstream)
    assert isinstance(found, Dead)
    assert "can be written by other users" in found.message


async def test_a_token_that_is_exchanged_is_in_no_file(place: Place, upstream: Upstream) -> None:
    place.kind = COPILOT
    place.write(copilot_file())
    exchanged = {"token": "tid=1", "expires_at": LATE + 1800, "refresh_in": 1500}
    place.vendor.on(path=PATH).reply(whole(json.dumps(exchanged).encode()))
    source = place.source()
    found = await asyncio.gather(*(source.renewed(upstream) for _ in range(5)))
    assert {each.access for each in found if isinstance(each, Tokens)} == {"tid=1"}
    assert place.file.read_text() == copilot_file()
    assert [one.header("authorization") for one in place.vendor.requests] == ["token gho_old"]
    place.file.touch()
    assert source.at_once() == found[0], "a file that says the same changes nothing"
    place.write(copilot_file("gho_another"))
    assert source.at_once() is None, "another login has a token of its own"


async def test_the_project_of_a_login_is_asked_for_once(place: Place, upstream: Upstream) -> None:
    place.kind = GEMINI
    place.write(gemini_file(at=EXPIRES + 9999))
    path = "/v1internal:loadCodeAssist"
    place.vendor.on(path=path).reply(whole(b"{}", 500)).reply(whole(b'{"cloudaicompanionProject": "mine"}'))
    source = place.source()
    tokens = source.at_once()
    assert tokens is not None
    assert source.needs_project()
    origin = parsed(place.vendor.base_url)
    assert await source.project(upstream, origin, tokens) == ""
    assert not source.needs_project(), "not now"
    place.now += 61
    assert [await source.project(upstream, origin, tokens) for _ in range(3)] == ["mine"] * 3
    assert len(place.vendor.requests) == 2
    place.write(gemini_file("ya29.another", "1//another", EXPIRES + 9999))
    assert source.at_once()
    assert source.needs_project(), "it may be another account"


async def test_a_message_that_is_cut_inside_a_token_ends_before_it(place: Place, upstream: Upstream) -> None:
    said = {"error": "invalid_grant", "error_description": "x" * 174 + "sk-ant-ort01-old"}
    place.vendor.on(path=PATH).reply(whole(json.dumps(said).encode(), 400))
    found = await place.source().renewed(upstream)
    assert found == Dead("400 invalid_grant: " + "x" * 174)


@pytest.mark.parametrize("status", [400, 500])
async def test_an_endpoint_that_repeats_the_token_is_not_repeated(
    place: Place, upstream: Upstream, status: int
) -> None:
    said = {"error": "invalid_grant", "error_description": "sk-ant-ort01-old is not known"}
    place.vendor.on(path=PATH).reply(whole(json.dumps(said).encode(), status))
    place.now = EXPIRES + 1
    found = await place.source().renewed(upstream)
    assert isinstance(found, Dead | Failed)
    assert "sk-ant-ort01-old" not in found.message
    assert "is not known" in found.message


async def test_a_token_that_lasts_for_seconds_is_not_refreshed_for_every_call(
    place: Place, upstream: Upstream
) -> None:
    """It would be due at once; unless it is refused, it is used."""
    place.vendor.on(path=PATH).reply(granted("first", lasts=1))
    place.vendor.on(path=PATH).reply(granted("second", lasts=1))
    place.vendor.on(path=PATH).reply(granted("third", lasts=1))
    source, got = place.source(), []
    for seconds, refused in ((0, ""), (0, ""), (30, ""), (30, "first"), (59, "")):
        place.now += seconds
        known = source.at_once() if not refused else None
        tokens = known or await source.renewed(upstream, refused)
        assert isinstance(tokens, Tokens)
        got.append(tokens.access)
    place.now += 2
    assert source.at_once() is None
    assert got == ["first"] * 3 + ["second"] * 2
    assert len(place.vendor.requests) == 2


async def test_a_token_of_use_goes_with_calls_while_its_refresh_takes_long(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHORT_WAIT", 0.05)
    place.vendor.on(path=PATH).reply(granted("new", "r", 28800, WaitFor("refresh")))
    source = place.source()
    for _ in range(2):
        tokens = await source.renewed(upstream)
        assert isinstance(tokens, Tokens)
        assert tokens.access == "sk-ant-oat01-old"
    refused = asyncio.create_task(source.renewed(upstream, "sk-ant-oat01-old"))
    place.now = EXPIRES + 1.0
    over = asyncio.create_task(source.renewed(upstream))
    await asyncio.wait([refused, over], timeout=0.1)
    assert [refused.done(), over.done()] == [False, False]
    place.vendor.release("refresh")
    found = [await refused, await over]
    assert {each.access for each in found if isinstance(each, Tokens)} == {"new"}
    assert len(place.vendor.requests) == 1
