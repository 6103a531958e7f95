"""The project of Code Assist that the calls of a login are for, and where a call names it.

It belongs to the account: beside another account's token it is refused.
"""

from protocols.model.http import Origin, UpstreamRequest, WireResponse
from protocols.model.wirejson import dump, load_object, object_at, text_at

_PATH = b"/v1internal:loadCodeAssist"
_METADATA = {"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI"}
_FIELD = "cloudaicompanionProject"
_OK = 200


def project_request(origin: Origin, access: str) -> UpstreamRequest:
    """What asks the provider for the project of whose token `access` is."""
    headers = (
        ("host", origin.authority),
        ("authorization", f"Bearer {access}"),
        ("content-type", "application/json"),
    )
    return UpstreamRequest(origin, "POST", origin.under(_PATH), headers, dump({"metadata": _METADATA}))


def project_in(answer: WireResponse) -> str:
    """The project that an answer names; empty for none."""
    body = load_object(answer.body) if answer.status == _OK else None
    if body is None:
        return ""
    return text_at(body, _FIELD) or text_at(object_at(body, _FIELD), "id")


def with_project(body: bytes, project: str) -> bytes:
    """A call's body with `project` as its own; as it is where it is not in Code Assist's envelope."""
    tree = load_object(body)
    if tree is None or not isinstance(tree.get("request"), dict) or "model" not in tree:
        return body
    return body if tree.get("project") == project else dump({**tree, "project": project})
