"""A provider's hooks as they are called: only those that it has, and none of them can do more than fail.

The code is not ours, so this is where all that it raises is caught.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from protocols.model.call import Operation, Rendered
from protocols.model.errors import InternalError, Untranslatable
from protocols.model.http import Headers, WireResponse
from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject, copied
from rewrite.hooks.base import POINTS, About, HookError, Hooks, Unsigned
from rewrite.hooks.checks import check_answer, check_form, check_request, check_usage, checked_signed

_SHORT = 3
"""Characters of a part of a key that a text may have by chance."""
_LONGEST = 1000
"""Characters of the text of a HookError."""


class HookFailed(InternalError):
    """A hook raised, or gave what it must not. The text names provider and hook; of what was raised it has
    the type and the place, or the text of a HookError."""


@dataclass(frozen=True, slots=True)
class ProviderHooks:
    """The code that a provider has registered."""

    provider: str
    """Its name."""
    hooks: Hooks
    points: frozenset[str] = field(init=False)
    """The names of those that it overrides."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", overridden(type(self.hooks)))

    @property
    def signs(self) -> bool:
        """Whether a key is not merely written into a header."""
        return "sign_request" in self.points

    def check_key(self, key: str) -> str:
        """What is wrong with a key of the config; empty: nothing."""
        if "check_key" not in self.points:
            return ""
        try:
            self.hooks.check_key(key)
        except BaseException as error:  # noqa: BLE001  # code of others
            said = str(error) if isinstance(error, ValueError) else ""
            quoted = any(part in said for part in key.split(":") if len(part) > _SHORT)
            return said if said and not quoted else str(failed(self.provider, "check_key", error))
        return ""


def overridden(code: type) -> frozenset[str]:
    """The override points that a class has of its own."""
    own = ((name, getattr(code, name, None)) for name in POINTS)
    return frozenset(name for name, found in own if found not in (None, getattr(Hooks, name)))


@dataclass(frozen=True, slots=True)
class CallHooks:
    """The hooks of one call to one target."""

    registered: ProviderHooks
    about: About
    failures: dict[str, str] = field(default_factory=dict)
    """By the name of a hook that reads answers, why it is not called any more in this call."""
    _made: list[tuple[Rendered, Rendered]] = field(default_factory=list)
    """Requests that were prepared, each with what it was made of."""

    def prepared(self, request: Rendered) -> Rendered:
        """What goes out in the place of `request`; the same object: unchanged. Raises HookFailed, and
        Untranslatable where the hook does."""
        if "prepare_request" not in self.registered.points:
            return request
        given = replace(request, body=copied(request.body))
        try:
            found = self.registered.hooks.prepare_request(given, self.about)
            if found is given and found.body == copied(request.body):
                return request
            check_request(found)
        except Untranslatable:
            raise
        except BaseException as error:  # code of others
            raise self._failed("prepare_request", error) from error
        self._made.append((found, request))
        return found

    def unprepared(self, request: Rendered) -> Rendered:
        """What `request` was made of, if it was prepared: what changes it does so before the hook."""
        return next((given for made, given in self._made if made is request), request)

    def signed(self, request: Unsigned, key: str) -> Headers | None:
        """The headers that take the place of those of `request`; None: the key is written as ever. Raises
        HookFailed."""
        try:
            found = self.registered.hooks.sign_request(request, key, self.about)
            if found is None:
                return None
            return checked_signed(found, request.headers)
        except BaseException as error:  # code of others
            raise self._failed("sign_request", error) from error

    @property
    def reads_parts(self) -> bool:
        """Whether what answers say may change."""
        return ("list_models" if self.lists else "read_part") in self.registered.points

    @property
    def reads_usage(self) -> bool:
        """Whether answers are looked through for usage."""
        return "read_usage" in self.registered.points

    @property
    def lists(self) -> bool:
        """Whether the answer is a list of models."""
        return self.about.operation is Operation.MODELS

    def error(self, answer: WireResponse) -> WireResponse:
        """An error answer in the words of the protocol."""
        return self._read("read_error", answer, answer, lambda found: check_answer(found, answer))

    def part(self, part: JsonObject) -> JsonObject | None:
        """An object of an answer in the words of the protocol; the same object: unchanged."""
        return self._read("read_part", part, part, lambda found: check_form(found, Mapping | None))

    def listing(self, listing: object) -> object:
        """The same of a list of models."""
        return self._read("list_models", listing, listing, lambda found: check_form(found, Mapping | list))

    def usage(self, part: JsonObject) -> Usage | None:
        """What an object of an answer states of usage."""
        return self._read("read_usage", part, None, check_usage)

    def _read[R](self, name: str, given: object, otherwise: R, check: Callable[[object], None]) -> R:
        """What the hook `name` makes of `given`; `otherwise` where there is none, or it fails. `check`: what
        looks at all but `given` itself."""
        if name not in self.registered.points or name in self.failures:
            return otherwise
        hook: Callable[[object, About], R] = getattr(self.registered.hooks, name)
        try:
            found = hook(given, self.about)
            if found is not given:
                check(found)
        except BaseException as error:  # noqa: BLE001  # code of others
            self.failures[name] = str(self._failed(name, error))
            return otherwise
        return found

    def _failed(self, name: str, error: BaseException) -> HookFailed:
        return failed(self.registered.provider, name, error)


def failed(provider: str, name: str, error: BaseException) -> HookFailed:
    """What the hook `name` came to, which raised `error`."""
    why = (
        str(error)[:_LONGEST]
        if isinstance(error, HookError)
        else f"{type(error).__name__} in {place_of(error)}"
    )
    return HookFailed(f"the hook {name} of {provider} failed: {why}")


def place_of(error: BaseException) -> str:
    """The file and the line of the hook that raised it, or called what did."""
    frames = [(one.tb_frame.f_code.co_filename, one.tb_lineno) for one in _trace(error)]
    beyond = [frame for frame in frames if frame[0] != __file__] or frames
    if not beyond:
        return "an unknown place"
    file, line = [frame for frame in beyond if frame[0] == beyond[0][0]][-1]
    return f"{file.replace('\\', '/').rpartition('/')[2]} line {line}"


def _trace(error: BaseException) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
