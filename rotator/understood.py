"""What `rotator check` makes of a config, as lines for a reader. Pure. No key is in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import shown
from rewrite.credentials.credential import Credential
from rotator.examples import Example, Models, example

_COMMAND = "cmd:"


def lines(settings: Settings, models: Models) -> Iterator[str]:
    """All of it: the file, the providers with their credentials, the routes, what to look at."""
    yield f"config: {settings.source or 'no file; defaults, and what the environment says'}"
    yield ""
    yield from _providers(settings)
    if settings.shared is not None:
        yield f"state is shared through {settings.shared}: all keys there begin with {settings.shared.prefix}"
    if settings.rules:
        yield ""
        yield from _routes(settings, models)
    if settings.users:
        yield ""
        for name, caps in settings.users.items():
            yield f"user {name}: {', '.join(caps.titles()) or 'no limits'}"
    if settings.warnings:
        yield ""
        yield "to look at:"
        yield from (f"  {warning}" for warning in settings.warnings)


# -- providers ---------------------------------------------------------------------------------------------


def _providers(settings: Settings) -> Iterator[str]:
    pools = [one for one in settings.providers if one.credentials]
    for one in pools:
        yield from _provider(one)
    if not pools:
        yield "no keys: `rotator init` writes a config of those in the environment"
    others = sum(not one.credentials for one in settings.providers)
    yield f"{others} other providers are known: there calls keep the key of their tool"


def _provider(one: Configured) -> Iterator[str]:
    yield f"{one.provider.name}: {_hosts(one.provider)}; {one.provider.rotation.value}"
    wide = max(len(each.name) for each in one.credentials)
    for each in one.credentials:
        limits = "; ".join(_limits(each.credential))
        yield f"  {each.name:<{wide}}  {origin(each)}{f'  ({limits})' if limits else ''}"


def _hosts(provider: Provider) -> str:
    hosts = ", ".join(provider.hosts) or "no calls of its own"
    return f"{hosts} -> {provider.base_url}" if provider.base_url else hosts


def origin(one: PoolCredential) -> str:
    """Where its key comes from. What follows the first word of a command may be a secret."""
    if one.login is not None:
        return f"{one.login.kind.name} login {one.reference}"
    if one.reference.startswith(_COMMAND):
        command = one.reference.removeprefix(_COMMAND).split(maxsplit=1)
        return f"{_COMMAND}{Path(command[0]).name}{' ...' if command[1:] else ''}"
    return one.reference


def _limits(credential: Credential) -> Iterator[str]:
    if credential.priority != 1:
        yield f"priority {credential.priority}"
    if credential.max_concurrency is not None:
        yield f"at most {credential.max_concurrency} at once"
    yield from (window.title() for window in credential.windows)
    if credential.models.allowed:
        yield f"models {', '.join(credential.models.allowed)}"
    if credential.models.denied:
        yield f"not {', '.join(credential.models.denied)}"
    if credential.clients is not None:
        yield f"for {', '.join(credential.clients)} alone"


# -- routes ------------------------------------------------------------------------------------------------


def _routes(settings: Settings, models: Models) -> Iterator[str]:
    for number, rule in enumerate(settings.rules):
        yield f"routes[{number}]: match = {shown(rule.match)}"
        found = example(settings, number, models)
        yield from _example(number, found) if found else ["  no call fits it: correct it, or take it out"]


def _example(number: int, found: Example) -> Iterator[str]:
    yield f"  such as POST {found.url}, model {found.model}"
    if found.taken_by != number:
        yield f"  never reached: routes[{found.taken_by}] fits such calls first: put this one before it"
        return
    yield from (f"  -> {target}{_skipped(why)}" for target, why in found.targets)


def _skipped(why: str) -> str:
    return f": skipped: {why}" if why else ""


def faults(errors: Sequence[str]) -> Iterator[str]:
    """What is wrong with a config that cannot be used."""
    yield from errors
    yield f"{len(errors)} fault{'s' if len(errors) > 1 else ''}: nothing would start with this config"
