"""What a user reads where no proxy answers."""

from collections.abc import Mapping

from rotator.found import addresses, parsed


def message(port: int | None, environment: Mapping[str, str]) -> str:
    """Where it was looked for, how to start it, and what keeps tools from working until then."""
    address = next(addresses(port, environment))
    text = f"no rotator answers at {address.url}: {_START}"
    pasted = (environment.get(name, "") for name in ("HTTPS_PROXY", "https_proxy"))
    return f"{text}\n{_UNDO}" if any(parsed(url) for url in pasted) else text


_START = "start it with `rotator start`, or with a tool: `rotator run -- TOOL`"
_UNDO = (
    "HTTPS_PROXY of this shell names a proxy of this machine, and tools reach nothing without it: "
    'eval "$(rotator env --unset)" takes that back'
)
