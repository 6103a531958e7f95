"""An agent on the tool runner of the anthropic SDK, which calls the tools by itself.

The job says how many calls to make; the answer reports of each which arguments the tool ran with, and what
was raised.
"""

import json
import sys
from typing import Any

import anthropic

ran: list[dict[str, Any]] = []


@anthropic.beta_tool
def remove_file(path: str = "", force: bool = False) -> str:
    """Remove a file."""
    ran.append({"path": path, "force": force})
    return "removed"


def main() -> None:
    job = json.loads(sys.argv[1])
    client = anthropic.Anthropic(api_key="sk-ant-client-own-key", max_retries=0, **job.get("options", {}))
    print(json.dumps({"calls": [turn(client) for _ in range(job["calls"])]}))


def turn(client: anthropic.Anthropic) -> dict[str, Any]:
    ran.clear()
    runner = client.beta.messages.tool_runner(
        model="claude-3-5-sonnet-latest",
        max_tokens=64,
        messages=[{"role": "user", "content": "Tidy up."}],
        tools=[remove_file],
        max_iterations=1,
        stream=True,
    )
    try:
        for stream in runner:
            for _ in stream:
                pass
    except Exception as error:
        return {"ran": list(ran), "error": f"{type(error).__name__}: {error}"}
    return {"ran": list(ran), "error": None}


main()
