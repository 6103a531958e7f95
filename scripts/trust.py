"""Makes the proxy's certificate authority where there is none, and the bundle that clients have to trust.

    trust.py CONFDIR [EXTRA]

CONFDIR is mitmproxy's folder; EXTRA is what the user's SSL_CERT_FILE named, if anything. A client that reads
SSL_CERT_FILE or REQUESTS_CA_BUNDLE replaces its roots by that file, and meets the true certificates of the
hosts that are not decrypted: so the bundle holds the system's roots as well as ours.
"""

import re
import ssl
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import certifi
from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME, KEY_SIZE

BUNDLE = "rotator-ca-bundle.pem"
# scripts/start reads this line back: which SSL_CERT_FILE the bundle was made from.
HEADER = "# rotator: SSL_CERT_FILE="
SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS, Alpine, BSD
)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates(file: Path) -> list[bytes]:
    """The PEM blocks of a file, without what stands around them (keys, comments). No file: none."""
    if not file.is_file():
        return []
    return [b"\n".join(block.split(b"\r\n")) for block in _CERTIFICATE.findall(file.read_bytes())]


def make_authority(confdir: Path) -> list[bytes]:
    """The certificates of the authority in confdir, made when missing. Raises OSError if it can't be written.

    They are read from the file that mitmproxy signs with: people put authorities of their own there.
    """
    signing = confdir / f"{CONF_BASENAME}-ca.pem"
    if not signing.is_file():
        CertStore.create_store(confdir, CONF_BASENAME, KEY_SIZE)
    ours = certificates(signing)
    public = confdir / f"{CONF_BASENAME}-ca-cert.pem"
    if not public.is_file():
        public.write_bytes(b"\n".join(ours) + b"\n")
    return ours


def system_roots(extra: str) -> list[Path]:
    """The files that may hold the system's roots, the user's own first."""
    compiled_in = ssl.get_default_verify_paths().openssl_cafile
    named = [extra, *SYSTEM_ROOTS, compiled_in, certifi.where()]
    return [Path(name) for name in named if name]


def bundle(extra: str, roots: Iterable[bytes]) -> Iterator[bytes]:
    """The bundle's lines: where it comes from, then each certificate once."""
    yield f"{HEADER}{extra}".encode()
    yield from dict.fromkeys(roots)


def main(confdir: Path, extra: str) -> None:
    """Writes confdir's authority and its bundle, the latter in one step: a client may be reading it."""
    ours = make_authority(confdir)
    if extra and not certificates(Path(extra)):
        print(
            f"rotator: SSL_CERT_FILE={extra} holds no certificates, left out of the bundle", file=sys.stderr
        )
    roots = [block for file in system_roots(extra) for block in certificates(file)]
    fresh = confdir / f"{BUNDLE}.new"
    fresh.write_bytes(b"\n".join(bundle(extra, [*roots, *ours])) + b"\n")
    fresh.replace(confdir / BUNDLE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "".join(sys.argv[2:3]))
