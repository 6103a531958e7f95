"""An agent of langchain as people write it: stream the answer, then run every tool that it calls.

The job says how many calls to make; the answer reports of each which arguments the tool ran with, and what
was raised.
"""

import json
import sys
from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

ran: list[dict[str, Any]] = []


@tool
def remove_file(path: str = "", force: bool = False) -> str:
    """Remove a file."""
    ran.append({"path": path, "force": force})
    return "removed"


def main() -> None:
    job = json.loads(sys.argv[1])
    model = ChatOpenAI(model="gpt-4o", api_key="sk-client-own-key", max_retries=0, **job.get("options", {}))
    agent = model.bind_tools([remove_file])
    print(json.dumps({"calls": [turn(agent) for _ in range(job["calls"])]}))


def turn(agent: Any) -> dict[str, Any]:
    ran.clear()
    try:
        message = None
        for chunk in agent.stream("Tidy up."):
            message = chunk if message is None else message + chunk
        for call in message.tool_calls if message else ():
            remove_file.invoke(call["args"])
    except Exception as error:
        return {"ran": list(ran), "error": f"{type(error).__name__}: {error}"}
    return {"ran": list(ran), "error": None}


main()
