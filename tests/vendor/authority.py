"""A certificate authority made at run time, and a leaf for the names a provider is called by."""

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "api.openai.com", "api.anthropic.com")
ADDRESSES = ("127.0.0.1",)


class Authority:
    """Writes `ca.pem` and a leaf into a directory; hands out the server's TLS context.

    ca_path: what a client has to trust (`verify=`, SSL_CERT_FILE). Several vendors may share one authority.
    """

    def __init__(self, directory: Path, names: tuple[str, ...] = NAMES) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake provider authority")])
        self.ca_path = directory / "ca.pem"
        self.ca_path.write_bytes(self._root().public_bytes(serialization.Encoding.PEM))
        self._leaf_path = directory / "leaf.pem"
        self._leaf_path.write_bytes(self._leaf_pem(names))

    def server_context(self) -> ssl.SSLContext:
        """A context that presents the leaf and speaks HTTP/1.1 only."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._leaf_path)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_path))

    def _root(self) -> x509.Certificate:
        builder = self._builder(self._name, self._key.public_key(), ca=True)
        builder = builder.add_extension(_signing_usage(), critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _leaf_pem(self, names: tuple[str, ...]) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        # The identifier of the issuer's key is what strict verification (Python 3.13) asks for.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = self._builder(subject, key.public_key(), ca=False).add_extension(issuer, critical=False)
        builder = builder.add_extension(_alternative_names(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return pem + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - day).not_valid_after(now + 30 * day)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    addresses = [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    return x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *addresses])


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
