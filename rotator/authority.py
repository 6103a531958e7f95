"""Makes the proxy's certificate authority: `python authority.py FOLDER`, a program of its own, since it
imports mitmproxy, which takes long, and is needed once."""

import os
import sys
from pathlib import Path

from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME, KEY_SIZE

if __name__ == "__main__":
    os.umask(0o022)  # who can write to a certificate decides whom clients trust
    CertStore.create_store(Path(sys.argv[1]), CONF_BASENAME, KEY_SIZE)
