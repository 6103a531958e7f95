"""What the programs named turns_* have in common: a conversation in which the client runs the tools.

A job is `{"jobs": [...]}`, each with `mode`, `model` and `prompt`, perhaps with `tools`, `reasoning`,
`image` (a PNG in base64), `headers` and `turns`; one that `forgets` sends back what was said and called, and
nothing of what was thought. They run `at_once` so many. The answer is `{"results": [...]}` in the
same order: the turns as the SDK reported them, and the error that it raised. With `patience` an answer that
has not ended after so many seconds is given up, and reported as far as it came.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late

_CITY = {"type": "string", "description": "The city."}
TOOLS = [
    {
        "name": name,
        "description": f"Tells the {what} in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": _CITY},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    for name, what in (("get_weather", "weather"), ("get_time", "time"))
]


def main(start):
    """`start(job)` begins a conversation; it has `ask(turn)`, which fills that in, and `give(results)`."""
    request = json.loads(sys.argv[1])
    threads = ThreadPoolExecutor(request.get("at_once", 8))
    end = time.monotonic() + request["patience"] if "patience" in request else None
    asked = []
    for job in request["jobs"]:
        turns = []
        asked.append((threads.submit(play, job, start, turns), turns))
    print(json.dumps({"results": [result(*each, end) for each in asked]}), flush=True)
    os._exit(0)  # whatever still waits for an answer


def result(asked, turns, end):
    try:
        return asked.result(end and max(end - time.monotonic(), 0))
    except Late:
        return {
            "turns": turns,
            "error": {"types": ["Silence"], "status": None, "message": "nothing more came"},
        }


def play(job, start, turns):
    try:
        conversation = start(job)
        for _ in range(job.get("turns", 1)):
            turns.append({"text": "", "reasoning": "", "tools": [], "finish": None, "usage": None, "ids": []})
            conversation.ask(turns[-1])
            if not turns[-1]["tools"]:
                break
            conversation.give([(call, run(call)) for call in turns[-1]["tools"]])
    except Exception as error:
        return {"turns": turns, "error": described(error)}
    return {"turns": turns, "error": None}


def noted(turn, id):
    """The answer's id, once, in whatever frame it stands."""
    if id and id not in turn["ids"]:
        turn["ids"].append(id)


def run(call):
    return f"{call['name']} found {call['arguments']['city']}-4711"


def called(id, name, arguments):
    """A call as every program reports it; arguments that are no JSON are reported as they are."""
    if isinstance(arguments, str):
        try:
            return {"id": id, "name": name, "arguments": json.loads(arguments)}
        except ValueError:
            return {"id": id, "name": name, "arguments": None, "raw": arguments}
    return {"id": id, "name": name, "arguments": dict(arguments or {})}


def described(error):
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    types = [each.__name__ for each in type(error).__mro__]
    return {"types": types, "status": status, "message": str(error)}
