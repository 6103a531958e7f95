"""Amazon Bedrock for calls in Anthropic Messages: InvokeModel and InvokeModelWithResponseStream.

The model and the way, streamed or whole, stand in the path (/model/MODEL/invoke), the version of the protocol
in the body. Answers are those of Messages; a stream of them comes in AWS's own framing, which the protocol
knows by its content type. Errors are `{"message": ...}`, with their name in a header. Documented by AWS, and
seen in public clients; not measured.

A key of the pool is a Bedrock API key, which is sent as a bearer's, or an access key, which signs:
`ACCESS:SECRET[:TOKEN[:REGION]]`. TOKEN is that of a session, and may be empty. REGION is needed where the
host's name has none in it.
"""

import re
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from urllib.parse import quote, urlsplit

from protocols.model.call import Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import Headers, WireResponse, header
from protocols.model.wirejson import dump, load_object, text_at
from rewrite.hooks.base import About, HookError, Hooks, Unsigned

VERSION = "bedrock-2023-05-31"
"""The `anthropic_version` that bodies name."""

_SERVICE = "bedrock"
_REGION = re.compile(r"(?:^|\.)([a-z]{2,3}(?:-[a-z]+)+-[0-9]+)(?:\.|$)")
_ACCESS = re.compile(r"A(?:KIA|SIA)[A-Z0-9]{12,124}")
_IN_THE_PATH = frozenset({"model", "stream"})
_BETA, _BETAS = "anthropic-beta", "anthropic_beta"
_FORM = "ACCESS:SECRET[:TOKEN[:REGION]]"
_MISSING = "an access key signs with botocore, which is not installed: pip install 'rotator[aws]'"
_SIGNED = frozenset({"host", "content-type"})
"""Headers that a signature holds, besides its own: a proxy on the way may change others."""
_OWN = ("x-amz-", "authorization")
"""How the headers of a signature begin."""

_ERRORS = {
    "validationexception": "invalid_request_error",
    "accessdeniedexception": "permission_error",
    "resourcenotfoundexception": "not_found_error",
    "throttlingexception": "rate_limit_error",
    "modelnotreadyexception": "rate_limit_error",
    "servicequotaexceededexception": "rate_limit_error",
    "serviceunavailableexception": "overloaded_error",
    "modeltimeoutexception": "timeout_error",
    "modelerrorexception": "api_error",
    "internalserverexception": "api_error",
    "unrecognizedclientexception": "authentication_error",
    "invalidsignatureexception": "authentication_error",
    "incompletesignatureexception": "authentication_error",
    "missingauthenticationtokenexception": "authentication_error",
    "expiredtokenexception": "authentication_error",
}
"""From the names of AWS's errors, in lower case, to the types of Messages. The last five blame the key."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key that signs."""

    access: str
    """Its id."""
    secret: str
    token: str = ""
    """That of a session. Empty: it belongs to none."""
    region: str = ""
    """Where it signs for. Empty: the one in the host's name."""


def access_key(key: str) -> AccessKey | None:
    """The one that `key` is; None: it is a bearer's. Raises ValueError for half of one."""
    access, *others = key.split(":")
    if not _ACCESS.fullmatch(access):
        return None
    if not 1 <= len(others) <= 3 or not others[0]:
        raise ValueError(f"an access key is written as {_FORM}")
    return AccessKey(access, *others)


class Bedrock(Hooks):
    """See the module's docstring."""

    def check_key(self, key: str) -> None:
        """Loads what signs, since that takes long the first time."""
        if access_key(key) is not None:
            try:
                _botocore()
            except ImportError:
                raise ValueError(_MISSING) from None

    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        if about.operation is not Operation.GENERATE or not about.model:
            raise Untranslatable("operation", f"Bedrock's InvokeModel has none for {about.operation}")
        how = "invoke-with-response-stream" if about.stream else "invoke"
        body = {name: value for name, value in request.body.items() if name not in _IN_THE_PATH}
        body["anthropic_version"] = VERSION
        if betas := header((*request.headers, *about.headers), _BETA):
            body.setdefault(_BETAS, [beta.strip() for beta in betas.split(",")])
        return replace(request, path=f"/model/{quote(about.model, safe='')}/{how}", body=body)

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        found = access_key(key)
        if found is None:
            return None
        region = found.region or region_of(urlsplit(request.url).hostname or "")
        if not region:
            raise HookError(f"the host's name has no region in it: write the key as {_FORM}")
        sent = [pair for pair in request.headers if not pair[0].lower().startswith(_OWN)]
        kept = tuple(pair for pair in sent if pair[0].lower() in _SIGNED)
        others = tuple(pair for pair in sent if pair[0].lower() not in _SIGNED)
        return _signed(replace(request, headers=kept), found, region) + others

    def read_error(self, answer: WireResponse, about: About) -> WireResponse:
        body = load_object(answer.body) or {}
        name = error_name(header(answer.headers, "x-amzn-errortype") or text_at(body, "__type"))
        if name.lower() not in _ERRORS:
            return answer
        message = text_at(body, "message") or text_at(body, "Message") or name
        error = {"type": "error", "error": {"type": _ERRORS[name.lower()], "message": message}}
        return replace(answer, body=dump(error))


def region_of(host: str) -> str:
    """The region that a host's name has in it, empty for none."""
    found = _REGION.search(host)
    return found[1] if found else ""


def error_name(stated: str) -> str:
    """Without what may stand around it: `com.amazon#ThrottlingException:http://internal.amazon.com/`."""
    return stated.partition(":")[0].rpartition("#")[2].strip()


def _signed(request: Unsigned, key: AccessKey, region: str) -> Headers:
    """The headers with a signature (AWS Signature Version 4)."""
    auth, requests, credentials = _botocore()
    found = credentials.Credentials(key.access, key.secret, key.token or None)
    asked = requests.AWSRequest(request.method, request.url, data=request.body)
    for name, value in request.headers:
        asked.headers[name] = value
    auth.SigV4Auth(found, _SERVICE, region).add_auth(asked)
    return tuple(asked.headers.items())


def _botocore() -> list[ModuleType]:
    """Raises ImportError where the extra is not installed."""
    return [import_module(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")]
