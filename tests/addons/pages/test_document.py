"""The page is one file: nothing from elsewhere, no markup made of data, and a policy that says so."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from addons.pages import document as module
from addons.pages.document import document, policy_of

TEXT = Path(module.__file__).with_name("page.html").read_text(encoding="utf-8")


def test_the_token_is_filled_in() -> None:
    reply = document("a-token")({})
    assert b'<meta name="token" content="a-token">' in reply.body
    assert b"{{" not in reply.body
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


def test_the_policy_names_the_script_and_the_style_that_are_sent() -> None:
    sent = document("a-token")({}).body.decode()
    policy = document("a-token")({}).headers["content-security-policy"]
    for element in ("script", "style"):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", sent, re.DOTALL)
        digest = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy_of(TEXT) == policy


def test_nothing_comes_from_elsewhere() -> None:
    """Nor is there a script or a style that the policy would have to allow by other means."""
    addresses = set(re.findall(r"https?://[^\"'\s]+", TEXT))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<[^>]+\s(style|on[a-z]+|src)=", TEXT)


def test_no_markup_is_made_of_data() -> None:
    makers = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(")
    assert [each for each in makers if each in TEXT] == []
