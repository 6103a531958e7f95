"""A server for the tests of a file."""

from tests.addons.store.conftest import server, store

__all__ = ["server", "store"]
