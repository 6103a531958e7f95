"""The user's own prices, from the file that the config names."""

from collections.abc import Sequence
from pathlib import Path

from addons.config.errors import ConfigErrors
from addons.config.trees import Unreadable, read_tree
from rewrite.usage.own_prices import BadOwnPrices, OwnPrices, own_prices


def prices_in(file: Path, errors: ConfigErrors) -> Sequence[OwnPrices]:
    """Those of `file`. What is wrong with it goes to `errors`."""
    try:
        return own_prices(read_tree(file))
    except Unreadable as error:
        errors.add((), str(error), str(file))
    except BadOwnPrices as error:
        for key, text in error.errors:
            errors.add((key,), text, str(file))
    return ()
