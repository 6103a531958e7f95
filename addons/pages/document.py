"""The page itself: one file, in which nothing is filled in but the token."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from addons.pages.reply import Reply
from addons.pages.site import View

_FILE = Path(__file__).with_name("page.html")
_TOKEN = "{{token}}"
HTML = "text/html; charset=utf-8"


def document(token: str) -> View:
    """The page with the `token` by which its actions are known. A browser runs nothing else in it and fetches
    nothing from elsewhere: its policy names the hashes of its script and its style."""
    text = _FILE.read_text(encoding="utf-8")
    policy = {"content-security-policy": policy_of(text)}
    reply = Reply(200, text.replace(_TOKEN, token).encode(), HTML, policy)
    return lambda _: reply


def policy_of(text: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(text, 'script')}",
            f"style-src {_hash(text, 'style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(text: str, element: str) -> str:
    """Of what is in the one `element`, as browsers hash it."""
    (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    return f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'"
