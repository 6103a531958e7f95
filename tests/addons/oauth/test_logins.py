"""All logins of the config: which sources stay, and what they report."""

import asyncio
from dataclasses import replace

from pydantic import SecretStr

from addons.oauth.logins import Hide, Logins, Who
from addons.secrets.redaction import Redactor
from addons.upstream.client import Upstream
from tests.addons.oauth.places import DEAD, PATH, Place, granted
from tests.rewrite.oauth.logins import claude_file

ONE, TWO = ("anthropic", "one"), ("anthropic", "two")


def values(secrets: list[SecretStr]) -> set[str]:
    return {each.get_secret_value() for each in secrets}


def followed(place: Place, hide: Hide | None = None) -> tuple[Logins, list[Who]]:
    """Logins with one, and whose token is another since, in order."""
    renewed = list[Who]()
    logins = Logins(lambda: place.now, hide)
    logins.follow(renewed.append, place.warned.append)
    logins.configure({ONE: place.login})
    return logins, renewed


async def renew(logins: Logins, upstream: Upstream) -> None:
    source = logins.source(ONE)
    assert source is not None
    await source.renewed(upstream)


async def test_a_login_that_stays_keeps_its_source(place: Place) -> None:
    logins = Logins(lambda: place.now)
    logins.configure({ONE: place.login})
    one = logins.source(ONE)
    logins.configure({ONE: place.login, TWO: place.login})
    assert logins.source(ONE) is one
    logins.configure({ONE: replace(place.login, any_client=True)})
    assert logins.source(ONE) is not one
    assert logins.source(TWO) is None
    assert logins.files == (place.file,)


async def test_tokens_are_hidden_as_soon_as_they_are_known(place: Place, upstream: Upstream) -> None:
    redactor = Redactor()
    logins, renewed = followed(place, redactor.keep)
    assert values(logins.secrets()) == {"sk-ant-oat01-old", "sk-ant-ort01-old"}
    place.vendor.on(path=PATH).reply(granted("opaque-access-token", "opaque-refresh-token"))
    await renew(logins, upstream)
    assert values(logins.secrets()) == {"opaque-access-token", "opaque-refresh-token"}
    line = "opaque-access-token opaque-refresh-token sk-ant-ort01-old"
    assert redactor.redact(line) == "[redacted] [redacted] [redacted]"
    assert renewed == [ONE, ONE]


async def test_a_file_that_changed_is_looked_at(place: Place) -> None:
    logins, renewed = followed(place)
    await logins.look()
    assert renewed == [ONE]
    place.write(claude_file("another", "another"))
    await logins.look()
    assert renewed == [ONE, ONE]


async def test_logins_of_one_vendor_are_refreshed_one_by_one(place: Place, upstream: Upstream) -> None:
    """Siblings that were refreshed at once were reported to be revoked."""
    other = place.folder / "other"
    other.mkdir()
    sibling = Place(other, place.kind, place.vendor)
    sibling.write(claude_file())
    logins = Logins(lambda: place.now)
    logins.configure({ONE: place.login, TWO: sibling.login})
    place.vendor.on(path=PATH).always(granted())
    sources = [source for who in (ONE, TWO) if (source := logins.source(who))]
    await asyncio.gather(*(source.renewed(upstream) for source in sources))
    first, second = place.vendor.requests
    assert first.finished.is_set()
    assert first.connection != second.connection
    assert [each.tokens().access for each in (place, sibling)] == ["new-access"] * 2


async def test_a_login_is_forgiven_by_name(place: Place, upstream: Upstream) -> None:
    logins = Logins(lambda: place.now)
    logins.configure({ONE: place.login})
    place.vendor.on(path=PATH).reply(DEAD).reply(granted())
    await renew(logins, upstream)
    logins.forgive(TWO)
    logins.forgive(ONE)
    await renew(logins, upstream)
    assert place.tokens().access == "new-access"
    await logins.close()
