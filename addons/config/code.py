"""The code that providers need: found by the config, loaded, and asked about the keys."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

from addons.config.credentials import PoolCredential
from addons.config.errors import ConfigErrors
from addons.config.provider_files import Said
from addons.hooks.loading import Unloadable, code_file, load_hooks
from addons.hooks.registry import GROUP, registered
from rewrite.catalog.providers import Provider
from rewrite.hooks.calling import ProviderHooks


@dataclass(slots=True)
class Code:
    """Loads it under one config."""

    folder: Path
    """Where paths in the config begin."""
    errors: ConfigErrors
    """Where to report what is wrong with the config."""
    said: Sequence[Said] = ()
    """What is said of providers in all places, the config last."""
    _known: dict[str, type | EntryPoint] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._known = registered()
        except ValueError as error:
            self._known = {}
            self.errors.add((), str(error), GROUP)

    def of(self, provider: Provider, pool: Iterable[PoolCredential]) -> ProviderHooks | None:
        """The hooks of `provider`, which know what to do with the keys of `pool`; None: it has none."""
        try:
            found = load_hooks(provider.name, provider.code, self.folder, self._known)
        except Unloadable as error:
            self._reporter(provider.name).add(("providers", provider.name, "code"), str(error))
            return None
        for one in pool if found else ():
            why = "" if found is None or one.login else found.check_key(one.secret.get_secret_value())
            if why:
                self.errors.add(("providers", provider.name, "credentials"), f"{one.name}: {why}")
        return found

    def _reporter(self, name: str) -> ConfigErrors:
        """Of the place that names the code of a provider; of the config where that is another provider's."""
        naming = [place.errors for place in self.said if place.name == name and place.table.code]
        return naming[-1] if naming else self.errors

    def files(self, providers: Iterable[Provider]) -> Iterator[Path]:
        """Those that code of `providers` was read from."""
        for provider in providers:
            if file := code_file(provider.code, self.folder):
                yield file
