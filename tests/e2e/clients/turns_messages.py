"""Conversations by the anthropic SDK."""

import asyncio
import json
import sys

import anthropic
from conversation import TOOLS, called, main, noted

CLIENT = anthropic.Anthropic(api_key="sk-ant-client-own-key", max_retries=0)


class Messages:
    def __init__(self, job):
        self.mode = job["mode"]
        content = job["prompt"]
        if job.get("image"):
            source = {"type": "base64", "media_type": "image/png", "data": job["image"]}
            content = [{"type": "text", "text": content}, {"type": "image", "source": source}]
        self.messages = [{"role": "user", "content": content}]
        self.request = {"model": job["model"], "max_tokens": 4096, "system": "Be brief."}
        if job.get("tools"):
            self.request["tools"] = [
                {
                    "name": tool["name"],
                    "description": tool["description"],
                    "input_schema": tool["parameters"],
                }
                for tool in TOOLS
            ]
        if job.get("reasoning"):
            self.request["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if job.get("headers"):
            self.request["extra_headers"] = job["headers"]
        self.forgets = job.get("forgets")

    def ask(self, turn):
        getattr(self, self.mode)(turn)

    def raw(self, turn):
        blocks = {}
        for event in CLIENT.messages.create(**self.request, messages=self.messages, stream=True):
            self.fold(event, turn, blocks)
        self.end(turn, blocks)

    def async_raw(self, turn):
        asyncio.run(self.asynchronous(turn))

    async def asynchronous(self, turn):
        blocks = {}
        async with anthropic.AsyncAnthropic(api_key="sk-ant-client-own-key", max_retries=0) as client:
            stream = await client.messages.create(**self.request, messages=self.messages, stream=True)
            async for event in stream:
                self.fold(event, turn, blocks)
        self.end(turn, blocks)

    def fold(self, event, turn, blocks):
        match event.type:
            case "message_start":
                turn["ids"].append(event.message.id)
            case "content_block_start":
                blocks[event.index] = {**event.content_block.to_dict(), "json": ""}
            case "content_block_delta":
                self.delta(event.delta, turn, blocks[event.index])
            case "message_delta":
                turn["finish"] = event.delta.stop_reason
                turn["usage"] = [event.usage.input_tokens, event.usage.output_tokens]

    def delta(self, delta, turn, block):
        match delta.type:
            case "text_delta":
                turn["text"] += delta.text
                block["text"] += delta.text
            case "thinking_delta":
                turn["reasoning"] += delta.thinking
                block["thinking"] += delta.thinking
            case "signature_delta":
                block["signature"] = delta.signature
            case "input_json_delta":
                block["json"] += delta.partial_json

    def end(self, turn, blocks):
        content = []
        for block in blocks.values():
            arguments = block.pop("json")
            if block["type"] == "tool_use":
                turn["tools"].append(called(block["id"], block["name"], arguments or "{}"))
                block["input"] = json.loads(arguments or "{}")
            content.append(block)
        self.keep(content)

    def helper(self, turn):
        with CLIENT.messages.stream(**self.request, messages=self.messages) as stream:
            for text in stream.text_stream:
                turn["text"] += text
            self.whole_answer(stream.get_final_message(), turn)

    def whole(self, turn):
        self.whole_answer(CLIENT.messages.create(**self.request, messages=self.messages), turn)

    def whole_answer(self, answer, turn):
        noted(turn, answer.id)
        turn["text"] = "".join(block.text for block in answer.content if block.type == "text")
        turn["reasoning"] = "".join(block.thinking for block in answer.content if block.type == "thinking")
        turn["tools"] = [
            called(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"
        ]
        turn["finish"] = answer.stop_reason
        turn["usage"] = [answer.usage.input_tokens, answer.usage.output_tokens]
        self.keep([block.to_dict() for block in answer.content] if self.forgets else answer.content)

    def keep(self, content):
        if self.forgets:
            content = [block for block in content if block["type"] not in ("thinking", "redacted_thinking")]
        self.messages.append({"role": "assistant", "content": content})

    def give(self, results):
        content = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": text} for call, text in results
        ]
        self.messages.append({"role": "user", "content": content})


if __name__ == "__main__":
    sys.exit(main(Messages))
