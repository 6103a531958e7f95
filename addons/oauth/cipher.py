"""Encryption of what the store keeps of logins: AES-256 in GCM, under a key that is made of the config's."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

_KEY, _NONCE = 32, 12
"""Bytes."""


class Cipher:
    """Under one key of the config. What was encrypted under a name is read under that name alone."""

    def __init__(self, key: SecretStr) -> None:
        made = HKDF(SHA256(), _KEY, salt=None, info=b"rotator: tokens of logins")
        self._aead = AESGCM(made.derive(key.get_secret_value().encode()))

    def encrypted(self, data: bytes, name: str) -> bytes:
        """A number that is used once, and the encrypted data."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, data, name.encode())

    def decrypted(self, box: bytes, name: str) -> bytes | None:
        """The data. None: it was encrypted under another key or name, or changed since."""
        try:
            return self._aead.decrypt(box[:_NONCE], box[_NONCE:], name.encode())
        except (InvalidTag, ValueError):
            return None
