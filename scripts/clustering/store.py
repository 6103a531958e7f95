"""The store: a real redis-server."""

from collections.abc import Sequence
from pathlib import Path

from scripts.clustering.programs import Program, free_port


class Store(Program):
    """Writes each change to a file, so that one that was killed has its data when it is started again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port())

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        bound = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        kept = ("--appendonly", "yes", "--appendfsync", "no", "--save", "")
        return ["redis-server", *bound, *kept]

    def forget(self) -> None:
        """What was kept is gone. Only while it does not run."""
        for each in (self.folder / "appendonlydir").iterdir():
            each.unlink()
