"""A credential as the config has it: who it is, and what it may serve. The key itself is not known here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate

from rewrite.credentials.windows import Cap, Window


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models a credential may serve, by globs (fnmatch) over their names in any case."""

    allowed: tuple[str, ...] = ()
    """It serves those that fit one of these. Empty: all."""
    denied: tuple[str, ...] = ()
    """It serves none that fits one of these."""
    _allowed: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _denied: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", _any_of(self.allowed))
        object.__setattr__(self, "_denied", _any_of(self.denied))

    def serves(self, model: str | None) -> bool:
        """Whether it may serve `model`. A call that names none may go anywhere."""
        if model is None:
            return True
        name = model.lower()
        if self._denied is not None and self._denied.fullmatch(name):
            return False
        return self._allowed is None or self._allowed.fullmatch(name) is not None


def _any_of(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(glob.lower()) for glob in globs)) if globs else None


ALL_MODELS = ModelFilter()


def model_filter(globs: Iterable[str]) -> ModelFilter:
    """The filter that a config writes as globs, those that deny with a `!` before them."""
    listed = tuple(globs)
    if not listed:
        return ALL_MODELS
    denied = tuple(glob[1:] for glob in listed if glob.startswith("!"))
    return ModelFilter(tuple(glob for glob in listed if not glob.startswith("!")), denied)


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of a pool."""

    name: str
    """Unique in its pool."""
    provider: str
    """The name of the provider that it is for."""
    priority: int = 1
    """Lower serves first."""
    weight: float = 1.0
    """Its share of new conversations beside the others', where they take turns by weight."""
    cost_rank: float = 0.0
    """What it costs beside the others, in any unit."""
    max_concurrency: int | None = None
    """How many calls it serves at once, and no more. None: any number."""
    target_concurrency: int | None = None
    """From how many calls at once on others serve first. None: any number."""
    models: ModelFilter = ALL_MODELS
    """Which models it may serve."""
    clients: tuple[str, ...] | None = None
    """The tools whose calls it may serve, by their names among the clients that are known. None: any
    program's."""
    windows: tuple[Window, ...] = ()
    """The limits that the config sets it."""
    caps: tuple[Cap, ...] = ()
    """How much it may use of limits that its provider reports."""
    check: bool = False
    """Whether its provider is asked now and then what it has used."""
    counted: tuple[Window, ...] = field(init=False, repr=False, compare=False)
    """All that its use is counted in."""
    unlimited: bool = field(init=False, repr=False, compare=False)
    """Whether the config lets it serve any call, and as many as there are."""

    def __post_init__(self) -> None:
        own = (cap.own for cap in self.caps if cap.own)
        windows = {window.key: window for window in (*self.windows, *own)}
        object.__setattr__(self, "counted", tuple(windows.values()))
        most = (self.max_concurrency, self.target_concurrency, self.clients)
        limited = self.windows or self.caps or any(each is not None for each in most)
        object.__setattr__(self, "unlimited", self.models is ALL_MODELS and not limited)

    def may_serve(self, client: str) -> bool:
        """Whether it may serve calls of the tool `client`."""
        return self.clients is None or client in self.clients


def serving_order(credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """By priority; equal ones in the order of the config."""
    return tuple(sorted(credentials, key=lambda credential: credential.priority))
