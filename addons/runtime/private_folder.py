"""Folders that their user alone can use."""

from pathlib import Path

_OURS_ALONE = 0o700


def make_private(folder: Path) -> None:
    """Has `folder`, and the folders that it lies in. What is not there yet is made for its user alone,
    whatever the umask is. Raises OSError."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(_OURS_ALONE, exist_ok=True)
