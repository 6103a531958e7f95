"""Finds the proxy that a command is about, and asks it. Without mitmproxy: it has to be quick."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, unquote, urlsplit

from addons.config.loopback import is_loopback

HOST = "rotator.local"
"""The proxy's own host, which it answers for itself."""
PORT = 8080
"""Where mitmproxy listens unless it is started otherwise."""
_VARIABLES = ("HTTPS_PROXY", "https_proxy")
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a proxy of this machine listens, or would."""

    host: str = "127.0.0.1"
    port: int = PORT
    login: str = ""
    """`USER:PASSWORD`, for one that wants them. Empty: none."""

    @property
    def url(self) -> str:
        """As messages name it: without the password."""
        return f"http://{self._place}"

    @property
    def proxy_url(self) -> str:
        """As clients need it: with the password, if there is one."""
        name, _, password = self.login.partition(":")
        login = f"{quote(name, safe='')}:{quote(password, safe='')}@" if self.login else ""
        return f"http://{login}{self._place}"

    @property
    def _place(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a page of the proxy's own host."""

    status: int
    body: bytes

    def data(self) -> dict[str, object]:
        """The JSON object that the body is. Empty: it is none."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}


@dataclass(frozen=True, slots=True)
class Found:
    """A rotator that serves."""

    address: Address
    version: str
    status: str
    """`ok`, or another word while it takes no new calls."""
    pid: int
    config: str
    """The path of its config file. Empty: it has none."""
    bundle: str
    """The path of the roots that clients have to trust, ours among them."""
    authority: str
    """The path of our own certificate."""
    web: str
    """The address of mitmweb's page. Empty: there is none."""


def find(port: int | None = None, environment: Mapping[str, str] | None = None) -> Found | None:
    """The proxy at `port`, or else the one that HTTPS_PROXY names, or the one at 8080. None: none is up."""
    variables = os.environ if environment is None else environment
    return next((found for at in addresses(port, variables) if (found := at_address(at))), None)


def addresses(port: int | None, environment: Mapping[str, str]) -> Iterator[Address]:
    """Where a proxy may be, best first."""
    pasted = [one for name in _VARIABLES if (one := parsed(environment.get(name, "")))]
    if port is not None:
        yield next((one for one in pasted if one.port == port), Address(port=port))
        return
    yield from dict.fromkeys([*pasted, Address()])


def parsed(url: str) -> Address | None:
    """The address that a proxy variable names. None: it is no proxy of this machine."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if port is None or not is_loopback(host):
        return None
    names = (parts.username, parts.password)
    return Address(host, port, ":".join(unquote(name or "") for name in names) if any(names) else "")


def at_address(address: Address) -> Found | None:
    """The rotator there. None: nobody answers there, or somebody else does."""
    answer = ask(address, "/health")
    said = answer.data() if answer else {}
    if "version" not in said:
        return None
    texts = {name: str(said.get(name) or "") for name in ("version", "config", "bundle", "authority", "web")}
    pid = said.get("pid")
    return Found(
        address, status=str(said.get("status", "ok")), pid=pid if isinstance(pid, int) else 0, **texts
    )


def ask(address: Address, path: str, timeout: float = _PATIENCE) -> Answer | None:
    """GET a page of the proxy's own host through it. None: no answer within `timeout` seconds."""
    headers = {"host": HOST, "accept": "application/json"}
    if address.login:
        headers["proxy-authorization"] = f"Basic {b64encode(address.login.encode()).decode()}"
    connection = HTTPConnection(address.host, address.port, timeout=timeout)
    try:
        connection.request("GET", f"http://{HOST}{path}", headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
