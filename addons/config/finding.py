"""Which config file is read."""

import os
from pathlib import Path

from platformdirs import user_config_path

from addons.secrets.keys import located

_NAMES = ("rotator.toml", "rotator.json")


def config_file(option: str, cwd: Path) -> Path | None:
    """The one that `option` names, else the first that is there of ./rotator.toml, ./rotator.json and the
    user's own. One that is there and cannot be read is found too: it must not be skipped."""
    return next((path for path in _sought(option, cwd) if option or os.path.lexists(path)), None)


def _sought(option: str, cwd: Path) -> tuple[Path, ...]:
    """Where the config file may be, the first that is there being the one."""
    if option:
        return (located(option, cwd),)
    folders = (cwd, user_config_path("rotator", appauthor=False))
    return tuple(folder / name for folder in folders for name in _NAMES)
