"""A provider's hooks as they are called: only those that it has, and none of them can do more than fail.

The code is not ours, so this is where all that it raises is caught.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import UnionType

from protocols.model.call import Operation, Rendered
from protocols.model.errors import InternalError, Untranslatable
from protocols.model.http import Headers, WireResponse, is_field_value, is_origin_form
from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject, dump, whole
from rewrite.hooks.base import POINTS, About, HookError, Hooks, Unsigned


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
        except ValueError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # code of others
            return str(failed(self.provider, "check_key", error))
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
        given = replace(request, body=whole(request.body))
        try:
            found = self.registered.hooks.prepare_request(given, self.about)
            if found is given:
                return request
            _check_request(found)
        except Untranslatable:
            raise
        except Exception as error:  # code of others
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
            headers = tuple([(str(name), str(value)) for name, value in found])
        except Exception as error:  # code of others
            raise self._failed("sign_request", error) from error
        if not all(is_field_value(part.encode()) for pair in headers for part in pair):
            raise self._failed("sign_request", HookError("a header has a line break in it"))
        return headers

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
        return self._read("read_error", answer, answer, WireResponse)

    def part(self, part: JsonObject) -> JsonObject | None:
        """An object of an answer in the words of the protocol; the same object: unchanged."""
        return self._read("read_part", part, part, Mapping | None)

    def listing(self, listing: object) -> object:
        """The same of a list of models."""
        return self._read("list_models", listing, listing, object)

    def usage(self, part: JsonObject) -> Usage | None:
        """What an object of an answer states of usage."""
        return self._read("read_usage", part, None, Usage | None)

    def _read[R](self, name: str, given: object, otherwise: R, form: type | UnionType) -> R:
        """What the hook `name` makes of `given`; `otherwise` where there is none, or it fails."""
        if name not in self.registered.points or name in self.failures:
            return otherwise
        hook: Callable[[object, About], R] = getattr(self.registered.hooks, name)
        try:
            found = hook(given, self.about)
            if found is not given:
                _check(found, form)
        except Exception as error:  # noqa: BLE001  # code of others
            self.failures[name] = str(self._failed(name, error))
            return otherwise
        return found

    def _failed(self, name: str, error: Exception) -> HookFailed:
        return failed(self.registered.provider, name, error)


def _check_request(found: object) -> None:
    """Raises HookError where it cannot be sent."""
    _check(found, Rendered)
    assert isinstance(found, Rendered)
    if not is_origin_form(found.path.encode()):
        raise HookError("it gave a path that does not begin with / or is not percent-encoded")
    dump(found.body)


def _check(found: object, form: type | UnionType) -> None:
    """Raises HookError, or what writing it as JSON raises."""
    if not isinstance(found, form):
        raise HookError(f"it gave {type(found).__name__}")
    if isinstance(found, Mapping):
        dump(found)


def failed(provider: str, name: str, error: Exception) -> HookFailed:
    """What the hook `name` came to, which raised `error`."""
    why = str(error) if isinstance(error, HookError) else f"{type(error).__name__} in {place_of(error)}"
    return HookFailed(f"the hook {name} of {provider} failed: {why}")


def place_of(error: BaseException) -> str:
    """The file and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    file = trace.tb_frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{file} line {trace.tb_lineno}"
