"""The prices in force: the user's own, and the list that ships with the package, or a newer one."""

import logging
import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from platformdirs import user_state_path

from addons.runtime.private_folder import make_private
from rewrite.catalog.providers import Provider
from rewrite.usage.own_prices import OwnPrices
from rewrite.usage.price_list import BadPrices, PriceList, trimmed
from rewrite.usage.prices import Prices

log = logging.getLogger("rotator")

_LARGEST = 1 << 25
"""Bytes of a list."""


def updated_list() -> Path:
    """Where a list is that the user took in place of the one that ships."""
    return user_state_path("rotator", appauthor=False) / "prices.json"


def shipped_list() -> PriceList:
    """The one in this package."""
    return PriceList(files("rewrite.usage").joinpath("data", "prices.json").read_bytes())


def list_in_force(updated: Path) -> PriceList:
    """That at `updated` where there is one that can be read, else the one that ships."""
    try:
        return PriceList(trimmed(bounded(updated)))
    except FileNotFoundError:
        return shipped_list()
    except OSError as error:
        why = error.strerror
    except BadPrices as error:
        why = str(error)
    log.warning("%s: %s: it is not used: replace it by a newer list, or delete it", updated, why)
    return shipped_list()


def bounded(file: Path) -> bytes:
    """Its bytes. Raises OSError, and BadPrices where it is too large to be a list."""
    with file.open("rb") as found:
        data = found.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise BadPrices(f"more than {_LARGEST} bytes")
    return data


def keep_list(data: bytes, place: Path) -> None:
    """Write a list to `place`, whole or not at all; only its user can read it. Raises OSError."""
    make_private(place.parent)
    fresh = place.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(place)


def vendors_of(providers: Iterable[Provider], listed: PriceList) -> Mapping[str, str]:
    """What the list calls each of them."""
    return {
        one.name: listed.vendor_at(one.base_url) if one.price_list is None else one.price_list
        for one in providers
    }


class PriceTable:
    """Keeps `prices`. The list is read by a thread, since nothing has to wait for it; before that, only
    what providers state themselves is known."""

    def __init__(self, updated: Path | None = None) -> None:
        """`updated`: where the user's list may be, in place of its usual place."""
        self.updated = updated or updated_list()
        self.prices = Prices()
        """Those in force, always the same object."""
        self._thread: threading.Thread | None = None

    def follow(self, providers: Sequence[Provider], used: Collection[str], own: Sequence[OwnPrices]) -> None:
        """Read what there is for these providers. Of those that are `used` the prices are at hand after that,
        of others once they are asked for."""
        self.settle()
        self._thread = threading.Thread(
            target=self._read, args=(providers, used, own), name="rotator-prices", daemon=True
        )
        self._thread.start()

    def settle(self) -> None:
        """Wait until all is read."""
        if self._thread is not None:
            self._thread.join()

    def _read(self, providers: Sequence[Provider], used: Collection[str], own: Sequence[OwnPrices]) -> None:
        listed = list_in_force(self.updated)
        vendors = vendors_of(providers, listed)
        for name in used:
            listed.models(vendors[name])
        self.prices.follow(Prices(listed, own, vendors))
