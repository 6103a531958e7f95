"""The environment of a tool that goes through the proxy and trusts it: the one list of its variables."""

from collections.abc import Mapping

LOCAL = "localhost,127.0.0.1,::1"
"""What no client sends through the proxy. It takes the place of a NO_PROXY that may name a provider."""
REMOVED = ("SSL_CERT_DIR",)
"""Must not be there: clients that read it would trust its folder alone, or besides."""

PASTE = "ROTATOR_PASTE"
"""The proxy's own variable in which `rotator start` hands over the lines to print once it serves."""
BUNDLE, AUTHORITY = "rotator-ca-bundle.pem", "mitmproxy-ca-cert.pem"
"""Files in mitmproxy's folder: the roots to trust, and our certificate alone."""


def client_variables(proxy: str, bundle: str, authority: str) -> Mapping[str, str]:
    """By name. `proxy` is the proxy's URL, `bundle` the path of the system's roots with ours, which takes
    the place of a program's own; `authority` is the path of our certificate alone, which adds to them.

    HTTP_PROXY is left as it is: a call over plain http is for a server of one's own.
    """
    return {
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": LOCAL,
        "no_proxy": LOCAL,
        # Python SDKs, httpx, claude, codex
        "SSL_CERT_FILE": bundle,
        # requests
        "REQUESTS_CA_BUNDLE": bundle,
        # It comes before SSL_CERT_FILE.
        "CURL_CA_BUNDLE": bundle,
        "GIT_SSL_CAINFO": bundle,
        # boto3, for Bedrock
        "AWS_CA_BUNDLE": bundle,
        # It comes before SSL_CERT_FILE.
        "CODEX_CA_CERTIFICATE": bundle,
        # Node, Bun: gemini, opencode, copilot
        "NODE_EXTRA_CA_CERTS": authority,
        # Node's own fetch takes no proxy without it.
        "NODE_USE_ENV_PROXY": "1",
        "DENO_CERT": authority,
    }


NAMES = (*client_variables("", "", ""),)
"""All that are set."""
