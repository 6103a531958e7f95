"""Conversations by the ollama SDK."""

import sys

import ollama
from conversation import TOOLS, called, main

CLIENT = ollama.Client(host="https://ollama.com", headers={"Authorization": "Bearer client-own-key"})


class Ollama:
    def __init__(self, job):
        self.mode = job["mode"]
        images = {"images": [job["image"]]} if job.get("image") else {}
        self.messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": job["prompt"], **images},
        ]
        self.request = {"model": job["model"]}
        if job.get("tools"):
            self.request["tools"] = [{"type": "function", "function": tool} for tool in TOOLS]
        if job.get("reasoning"):
            self.request["think"] = True

    def ask(self, turn):
        message = {"role": "assistant", "content": "", "thinking": "", "tool_calls": []}
        getattr(self, self.mode)(turn, message)
        self.messages.append({name: value for name, value in message.items() if value or name == "content"})

    def raw(self, turn, message):
        for line in CLIENT.chat(**self.request, messages=self.messages, stream=True):
            self.fold(line, turn, message)

    def whole(self, turn, message):
        self.fold(CLIENT.chat(**self.request, messages=self.messages), turn, message)

    def fold(self, line, turn, message):
        message["content"] += line.message.content or ""
        message["thinking"] += line.message.thinking or ""
        message["tool_calls"] += line.message.tool_calls or []
        turn["text"], turn["reasoning"] = message["content"], message["thinking"]
        turn["tools"] = [
            called(None, call.function.name, call.function.arguments) for call in message["tool_calls"]
        ]
        if line.done:
            turn["finish"] = line.done_reason
            turn["usage"] = [line.prompt_eval_count, line.eval_count]

    def give(self, results):
        for call, text in results:
            self.messages.append({"role": "tool", "tool_name": call["name"], "content": text})


if __name__ == "__main__":
    sys.exit(main(Ollama))
