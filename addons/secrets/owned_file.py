"""Files that decide where keys go and what is run: read only where nobody else can have written them.

A link counts twice: whoever owns it decides which file is read. In a folder that anybody may write,
anybody may put another of our own files into the place of this one.
"""

import os
import stat
from pathlib import Path

_NO_WAITING = getattr(os, "O_NONBLOCK", 0)
"""A pipe that nobody writes to would hold up the start for ever."""

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotOurs(Exception):
    """A file that is not read. In a sentence `reason` follows its name, and `remedy` comes before it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy} it")
        self.reason, self.remedy = reason, remedy


def read_own(path: Path, longest: int) -> bytes:
    """What is in the file, at most `longest` bytes. Raises NotOurs, OSError, and ValueError for no path."""
    with open(path, "rb", opener=_open) as file:  # Path.open has no opener
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise NotOurs("is not a regular file", "name one in the place of")
        if _has_owners():
            check(path.lstat(), found, path.parent.stat(), os.geteuid())
        data = file.read(longest + 1)
    if len(data) > longest:
        raise NotOurs(f"is larger than {longest} bytes", "shorten")
    return data


def check_folder(folder: Path) -> None:
    """Raises NotOurs where others may put files into it, or decide which folder it is, and OSError."""
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotOurs("is not a folder", "name one in the place of")
    if _has_owners():
        check(folder.lstat(), found, folder.parent.stat(), os.geteuid())


def check(link: os.stat_result, file: os.stat_result, folder: os.stat_result, us: int) -> None:
    """`link`: the name itself, which is the file where it is no link. Raises NotOurs for what user `us`
    must not trust."""
    if link.st_uid not in (us, 0):
        raise NotOurs(f"belongs to another user (uid {link.st_uid})", "chown -h $USER")
    if file.st_uid not in (us, 0):
        raise NotOurs(f"is a link to a file of another user (uid {file.st_uid})", "chown $USER")
    if file.st_mode & _OTHERS:
        mode = stat.S_IMODE(file.st_mode)
        raise NotOurs(f"can be written by other users (mode {mode:03o})", "chmod go-w")
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise NotOurs("lies in a folder that every user can write", "chmod o-w the folder of")


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_WAITING)


def _has_owners() -> bool:
    return hasattr(os, "geteuid")
