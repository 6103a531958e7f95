"""Where things lie: the add-on, mitmproxy's folder, and what the proxy leaves of its own."""

from pathlib import Path

from platformdirs import user_state_path

import addons

ADDON = Path(addons.__file__).with_name("rotator.py")
"""What mitmproxy loads, in a checkout as in an installed package."""


def default_confdir() -> Path:
    """mitmproxy's folder, unless an option names another."""
    return Path.home() / ".mitmproxy"


def state_folder() -> Path:
    """Of logs and the usage of a proxy that `rotator` starts. It may not be there yet."""
    return user_state_path("rotator", appauthor=False)
