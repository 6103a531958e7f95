"""Asks each credential of a config for its models, over the connections that calls take."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from addons.call.request import with_key
from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings, known_protocols
from addons.credentials.lease import Lease
from addons.oauth.logins import Logins
from addons.secrets.redaction import Redactor
from addons.startup import upstream_alone
from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Started, events
from addons.upstream.failure import Cause
from protocols.base import WireProtocol
from protocols.model.http import UpstreamRequest, WireResponse
from protocols.model.wirejson import load_value
from rewrite.catalog.model_lists import count, list_of_models, models_headers
from rewrite.policies.classify import code_of, rejection
from rewrite.values.key_refusal import REMEDIES
from rewrite.values.outcome import Kind
from rotator import found
from rotator.understood import origin

LONGEST_ANSWER = 8 << 20
"""Bytes of a list of models."""
PATIENCE = 20.0
"""Seconds that an answer may take."""
AT_ONCE = 8
"""How many are asked at once."""

_OK = range(200, 300)
_VARIABLES = ("HTTPS_PROXY", "https_proxy")
_LATER: Mapping[Kind, str] = {
    Kind.RATE: "the key is known, and rate-limited for now: try again later",
    Kind.SERVER: "trouble of the provider's: try again later",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one credential."""

    good: bool
    """Whether nothing speaks against it."""
    line: str
    """For a reader."""


async def ask_all(
    settings: Settings, environ: Mapping[str, str], show: Callable[[Asked], None]
) -> list[Asked]:
    """Ask all of them; `show` gets each result as it comes."""
    asker = _Asker(settings, environ)
    several = asyncio.Semaphore(AT_ONCE)

    async def ask(one: Configured, credential: PoolCredential) -> Asked:
        async with several:
            result = await asker.ask(one, credential)
        show(result)
        return result

    try:
        return list(await asyncio.gather(*(ask(*each) for each in _credentials(settings))))
    finally:
        await asker.close()


def _credentials(settings: Settings) -> Iterator[tuple[Configured, PoolCredential]]:
    for one in settings.providers:
        for credential in one.credentials:
            yield one, credential


def _without_us(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without a proxy that is a rotator: keys are asked for themselves, not through a pool."""
    ours = [
        name
        for name in _VARIABLES
        if (address := found.parsed(environ.get(name, ""))) and found.at_address(address)
    ]
    return {name: value for name, value in environ.items() if name not in ours}


class _Asker:
    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._upstream = upstream_alone(settings.upstream_proxy, _without_us(environ))
        self._protocols: dict[str, WireProtocol] = {one.name: one for one in known_protocols()}
        self._redactor = Redactor()
        pools = [each.secret for one in settings.providers for each in one.credentials]
        self._redactor.keep(pools, ())
        self._logins = Logins(time.time, self._redactor.keep)
        self._logins.configure(
            {
                (one.provider.name, each.name): each.login
                for one, each in _credentials(settings)
                if each.login is not None
            }
        )

    async def close(self) -> None:
        await self._logins.close()
        await self._upstream.close()

    async def ask(self, one: Configured, credential: PoolCredential) -> Asked:
        name = f"{one.provider.name}/{credential.name}"
        good, said = await self._said(one, credential)
        return Asked(good, self._redactor.line(f"{name}: {said}"))

    async def _said(self, one: Configured, credential: PoolCredential) -> tuple[bool, str]:
        request = self._request(one, credential)
        if isinstance(request, str):
            return True, f"not asked: {request}"
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await _answer(self._upstream, request)
        except TimeoutError:
            return False, f"no answer within {PATIENCE:g} s from {request.origin.authority}"
        if isinstance(answer, Cause):
            return False, f"{request.origin.authority} cannot be reached: {answer.text}"
        return _judged(one, credential, answer)

    def _request(self, one: Configured, credential: PoolCredential) -> UpstreamRequest | str:
        """Why there is none, else."""
        listed = list_of_models(one.provider, self._protocols)
        if one.signs:
            return "its key signs requests, and is tried by the first call"
        if listed is None or one.provider.origin is None:
            return f"{one.provider.name} has no list of models that is known"
        path, protocol = listed
        lease = self._lease(one, credential)
        if lease is None:
            return "its token has ended, and is refreshed by the first call"
        headers = with_key(models_headers(protocol), one.provider, lease)
        return UpstreamRequest(one.provider.origin, "GET", one.provider.origin.under(path.encode()), headers)

    def _lease(self, one: Configured, credential: PoolCredential) -> Lease | None:
        source = self._logins.source((one.provider.name, credential.name))
        if source is None:
            return Lease(credential.name, credential.secret)
        tokens = source.at_once()
        lease = Lease(credential.name, credential.secret, source=source)
        return lease.with_tokens(tokens) if tokens else None


async def _answer(upstream: Upstream, request: UpstreamRequest) -> WireResponse | Cause:
    head, body = None, b""
    async with aclosing(events(upstream, request, fresh=False, connect_timeout=PATIENCE)) as coming:
        async for event in coming:
            match event:
                case Started(head=begun):
                    head = begun
                case Data(data=data) if len(body) < LONGEST_ANSWER:
                    body += data
                case Closed(cause=cause) if cause is not None:
                    return cause
    assert head is not None
    return WireResponse(head.status, head.headers, body, head.reason)


def _judged(one: Configured, credential: PoolCredential, answer: WireResponse) -> tuple[bool, str]:
    if answer.status in _OK:
        models = count(load_value(answer.body))
        return (True, f"works, {models} models") if models is not None else (False, _FOREIGN)
    refused = rejection(answer, one.provider.errors, time.time())
    code = code_of(answer)
    said = f"{answer.status}{f' {code}' if code else ''}{f': {refused.message}' if refused.message else ''}"
    where = f" ({origin(credential)})" if refused.kind is Kind.AUTH else ""
    if refused.kind in REMEDIES:
        return False, f"refused ({said}); {REMEDIES[refused.kind]}{where}"
    if refused.kind in _LATER:
        return refused.kind is Kind.RATE, f"answers {said}; {_LATER[refused.kind]}"
    return False, f"answers {said}; check providers.{one.provider.name}.base_url"


_FOREIGN = "answers with something that is no list of models: check its base_url"
