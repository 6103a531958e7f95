"""The home of a user who has keys of every kind, with a proxy that `rotator start` started there."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.preloaded import give_certificates
from tests.rotator.command import ROOT, rotator
from tests.secrecy.marks import mark

PATIENCE = 30.0
"""Seconds; bounds a failing test, no passing one."""

KEYS = {
    "ONE": f"sk-{mark('variable')}",
    "TWO": f"sk-proj-{mark('second variable')}",
    "OPENROUTER_API_KEY_1": f"sk-or-v1-{mark('numbered variable')}",
    "GROQ_API_KEY": f"gsk_{mark('plain variable')}",
    "MISTRAL_API_KEYS": f"{mark('first of a list')},{mark('second of a list')}",
    "STORE": mark("password of the store"),
    "TOKENS": mark("key that tokens are encrypted with") + mark("its second half"),
}
COMPANY = f"worker:{mark('password of the proxy of the company')}"
USER = f"colleague:{mark('password of proxyauth')}"
WEB = mark("password of mitmweb")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def awaited(true: Callable[[], object], what: str) -> None:
    due = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < due, f"{what}: not within {PATIENCE} s"
        time.sleep(0.02)


class Home:
    """`with Home(folder, config) as home:` runs the proxy; `outputs` has what each command printed."""

    def __init__(self, folder: Path, config: str, *, company: int, web: bool, options: Sequence[str]) -> None:
        """`company`: the port of a proxy through which https hosts are reached."""
        self.folder, self.port, self.web_port = folder, free_port(), free_port()
        self.outputs: dict[str, bytes] = {}
        self.config = folder / "rotator.toml"
        self.config.write_text(config)
        self.config.chmod(0o600)
        self.log = folder / "start.log"
        way = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), f"http://{COMPANY}@127.0.0.1:{company}")
        self._keys = {**KEYS, "HTTPS_PROXY": way["HTTPS_PROXY"]}
        page = ("--set", f"web_port={self.web_port}", "--set", f"web_password={WEB}", "--no-web-open-browser")
        self._options = [*(("--web", *page) if web else ()), *options]
        give_certificates(folder / ".mitmproxy")

    @property
    def proxy_url(self) -> str:
        return f"http://{USER}@127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Of commands, in the shell that has the keys and was sent through the proxy."""
        ca = str(self.folder / ".mitmproxy" / "mitmproxy-ca-cert.pem")
        return {**self._keys, "HTTPS_PROXY": self.proxy_url, "SSL_CERT_FILE": ca, "CURL_CA_BUNDLE": ca}

    def client(self) -> httpx.Client:
        """Through the proxy, whatever certificate it shows."""
        return httpx.Client(proxy=self.proxy_url, verify=False, trust_env=False, timeout=PATIENCE)

    def __enter__(self) -> Self:
        auth = ("--set", f"proxyauth={USER}", "--set", "ssl_insecure=true")
        line = [sys.executable, "-m", "rotator", "start", "-p", str(self.port), *auth, *self._options]
        given = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **self._keys}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                line, cwd=self.folder, env=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        awaited(lambda: "listening at" in self.said() or self._process.poll() is not None, "a proxy")
        assert self._process.poll() is None, self.said()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)

    def said(self) -> str:
        """By the proxy, until now."""
        return self.log.read_text(errors="replace")

    def await_log(self, text: str) -> None:
        awaited(lambda: text in self.said(), f"{text!r} in the log")

    def run(
        self, *arguments: str, said: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command of ours, what it prints kept."""
        given = self.environment() if environment is None else environment
        done = rotator(self.folder, *arguments, environment=given, said=said, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        self.keep(f"rotator {' '.join(arguments)}", f"{done.stdout}{done.stderr}")
        return done

    def keep(self, name: str, text: str) -> None:
        self.outputs[name] = self.outputs.get(name, b"") + text.encode(errors="surrogateescape")

    def files(self, *sources: str) -> dict[str, bytes]:
        """All that are in the home but these, which have keys."""
        found = [each for each in self.folder.rglob("*") if each.is_file() and not each.is_symlink()]
        names = {str(each.relative_to(self.folder)): each for each in found}
        return {name: each.read_bytes() for name, each in names.items() if name not in sources}
