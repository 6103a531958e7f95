"""A real mitmdump (or mitmweb) with the add-on, as a process of its own, for the clients of the tests."""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.preloaded import Process, begun, give_certificates

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "addons" / "rotator.py"
_LISTENING = re.compile(r"proxy\b.* listening at \S*?:(\d+)")


class Proxy:
    """`with Proxy(tmp_path, config) as proxy:`; a client gets `proxy.environment()`.

    `config` is the text of rotator.toml ("" for none); `keys` are environment variables of the proxy alone;
    `options` are further arguments; `named=False` leaves the config to be found, `listen_host=""` leaves that
    out; `forked=False` starts a program that shares no memory with others, to be measured. The log is read as
    it comes: wait on it with `wait_log`.
    """

    def __init__(
        self,
        folder: Path,
        config: str = "",
        *,
        keys: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        program: str = "mitmdump",
        scripts: Sequence[Path] = (ADDON,),
        named: bool = True,
        listen_host: str = "127.0.0.1",
        forked: bool = True,
    ) -> None:
        self.folder = folder
        self.config = folder / "rotator.toml"
        self.config.write_text(config)
        self.config.chmod(0o600)
        self.confdir = folder / "confdir"
        self._program = program
        self._options = [*options, *(part for script in scripts for part in ("-s", str(script)))]
        self._named = ("--set", f"rotator_config={self.config}") if named else ()
        self._host = ("--listen-host", listen_host) if listen_host else ()
        self._keys = dict(keys or {})
        self._forked = forked
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.confdir / "mitmproxy-ca-cert.pem"

    @property
    def log(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def environment(self) -> dict[str, str]:
        """What a user exports in the client's terminal, and nothing else of the tests' environment."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HTTPS_PROXY": self.url,
            "SSL_CERT_FILE": str(self.ca),
            "REQUESTS_CA_BUNDLE": str(self.ca),
        }

    def start(self, *, expect_exit: bool = False) -> Self:
        options = ("-p", "0", "--set", f"confdir={self.confdir}", *self._named, *self._options)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        give_certificates(self.confdir)
        begin = Process if self._forked else begun
        self.process = begin(
            self._program, (*self._host, *options), cwd=self.folder, environment=environment | self._keys
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not expect_exit:
            listeners = 2 if self._program == "mitmweb" else 1
            self.port = int(_LISTENING.search(self.wait_log("listening at ", count=listeners))[1])  # type: ignore[index]  # just waited for
        return self

    def wait_exit(self, timeout: float = 30) -> int:
        """The exit status of a proxy that ends by itself."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def wait_log(self, text: str, *, count: int = 1, timeout: float = 30) -> str:
        """The log once it holds `text` `count` times. Raises AssertionError with the log if it never does."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: "".join(self._lines).count(text) >= count or self.process.poll() is not None, timeout
            )
            log = "".join(self._lines)
        assert found, f"{text!r} did not appear {count} time(s) within {timeout} s in:\n{log}"
        assert log.count(text) >= count, f"the proxy ended without {text!r} in:\n{log}"
        return log

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        # Its output ends before the process does, which is what those who wait for a line look at.
        self.process.wait(30)
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        self.process.terminate()
        self.wait_exit()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the proxy's log:\n{self.log}")
