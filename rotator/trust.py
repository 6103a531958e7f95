"""The bundle that clients have to trust, and the proxy's certificate authority where there is none yet.

A client that reads SSL_CERT_FILE or REQUESTS_CA_BUNDLE replaces its roots by that file, and meets the true
certificates of the hosts that are not decrypted: so the bundle holds the system's roots as well as ours.
"""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import certifi

from addons.config.client_variables import AUTHORITY, BUNDLE
from addons.runtime.file_lock import locked

HEADER = "# rotator: SSL_CERT_FILE="
"""Begins the bundle's first line, which names the user's SSL_CERT_FILE that it was made with."""
SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS, Alpine, BSD
)
_SIGNING = "mitmproxy-ca.pem"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
"""Whatever the umask is: who can write to these decides whom clients trust."""
_MAKING = 30.0
"""Seconds that another program may take to make the same."""


class NoAuthority(Exception):
    """There is no certificate authority, and none could be made; the text says why."""


def prepare(confdir: Path, chosen: str) -> str:
    """Has the authority and a bundle that is up to date in mitmproxy's folder. `chosen` is the file of roots
    that the user wants, empty for none. Returns a warning, empty most often. Raises NoAuthority."""
    if _is_fresh(confdir, chosen):
        return ""
    try:
        confdir.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        with locked(confdir / "rotator.lock", _MAKING):
            return _make(confdir, chosen)
    except OSError as error:
        raise NoAuthority(f"{confdir}: {error.strerror or error}") from None


def chosen_roots(environment: Mapping[str, str], confdir: Path) -> str:
    """The file that the user's SSL_CERT_FILE names. Where our lines are pasted that is our own bundle,
    which remembers it."""
    named = environment.get("SSL_CERT_FILE", "")
    return _remembered(confdir / BUNDLE) or "" if named.endswith(f"/{BUNDLE}") else named


def certificates(file: Path) -> list[bytes]:
    """The PEM blocks of a file, without what stands around them (keys, comments). No file: none."""
    if not file.is_file():
        return []
    return [b"\n".join(block.split(b"\r\n")) for block in _CERTIFICATE.findall(file.read_bytes())]


def _remembered(bundle: Path) -> str | None:
    """None: there is no bundle of ours."""
    try:
        with bundle.open(encoding="utf-8", errors="replace") as file:
            line = file.readline().rstrip("\n")
    except OSError:
        return None
    return line.removeprefix(HEADER) if line.startswith(HEADER) else None


def _is_fresh(confdir: Path, chosen: str) -> bool:
    bundle = confdir / BUNDLE
    if _remembered(bundle) != chosen or not (confdir / AUTHORITY).is_file():
        return False
    sources = [confdir / _SIGNING, *_roots(chosen)]
    made = _changed(bundle)
    return _changed(sources[0]) > 0 and all(_changed(source) < made for source in sources)


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _roots(chosen: str) -> list[Path]:
    """The files that may hold the system's roots, the user's own first."""
    compiled_in = ssl.get_default_verify_paths().openssl_cafile
    return [Path(name) for name in (chosen, *SYSTEM_ROOTS, compiled_in, certifi.where()) if name]


def _make(confdir: Path, chosen: str) -> str:
    """The bundle in one step: a client may be reading it."""
    ours = _authority(confdir)
    roots = [block for file in _roots(chosen) for block in certificates(file)]
    fresh = confdir / f"{BUNDLE}.new"
    _write(fresh, b"\n".join(_lines(chosen, [*roots, *ours])) + b"\n")
    fresh.replace(confdir / BUNDLE)
    if chosen and not certificates(Path(chosen)):
        return f"SSL_CERT_FILE={chosen} holds no certificates, left out of the bundle"
    return ""


def _write(file: Path, data: bytes) -> None:
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)


def _lines(chosen: str, roots: Iterable[bytes]) -> Iterator[bytes]:
    """Where it comes from, then each certificate once."""
    yield f"{HEADER}{chosen}".encode()
    yield from dict.fromkeys(roots)


def _authority(confdir: Path) -> list[bytes]:
    """Its certificates, from the file that mitmproxy signs with: people put one of their own there."""
    signing, public = confdir / _SIGNING, confdir / AUTHORITY
    if not signing.is_file():
        program = Path(__file__).with_name("authority.py")
        done = subprocess.run(
            [sys.executable, "-P", program, confdir], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoAuthority(f"{confdir}: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    ours = certificates(signing)
    if not public.is_file():
        _write(public, b"\n".join(ours) + b"\n")
    return ours
