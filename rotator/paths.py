"""Where things lie: the command, the add-on, and what the proxy leaves of its own."""

import shlex
import shutil
from pathlib import Path

from platformdirs import user_state_path

import addons

ADDON = Path(addons.__file__).with_name("rotator.py")
"""What mitmproxy loads, in a checkout as in an installed package."""
_SCRIPT = ADDON.parents[1] / "scripts" / "rotator"


def command() -> str:
    """How a shell calls us: what messages would have people type."""
    if shutil.which("rotator") or not _SCRIPT.is_file():
        return "rotator"
    cwd = Path.cwd()
    return shlex.quote(str(_SCRIPT.relative_to(cwd) if _SCRIPT.is_relative_to(cwd) else _SCRIPT))


def default_confdir() -> Path:
    """mitmproxy's folder, unless an option names another."""
    return Path.home() / ".mitmproxy"


def state_folder() -> Path:
    """Of logs and the usage of a proxy that `rotator` starts. It may not be there yet."""
    return user_state_path("rotator", appauthor=False)
