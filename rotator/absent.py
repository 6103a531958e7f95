"""What a user reads where no proxy answers."""

from collections.abc import Mapping

from rotator.found import addresses, parsed
from rotator.paths import command


def message(port: int | None, environment: Mapping[str, str]) -> str:
    """Where it was looked for, how to start it, and what keeps tools from working until then."""
    address, name = next(addresses(port, environment)), command()
    start = f"start it with `{name} start`, or with a tool: `{name} run -- TOOL`"
    text = f"no rotator answers at {address.url}: {start}"
    pasted = (environment.get(variable, "") for variable in ("HTTPS_PROXY", "https_proxy"))
    if not any(parsed(url) for url in pasted):
        return text
    undo = f'eval "$({name} env --unset)"'
    return f"{text}\n{_PASTED}: {undo} takes that back"


_PASTED = "HTTPS_PROXY of this shell names a proxy of this machine, and tools reach nothing without it"
