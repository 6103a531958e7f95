"""Conversations by the openai SDK's responses, which the client keeps itself (store=False)."""

import sys

import openai
from conversation import TOOLS, called, main, noted

CLIENT = openai.OpenAI(api_key="sk-client-own-key", max_retries=0)


class Responses:
    def __init__(self, job):
        self.mode = job["mode"]
        content = [{"type": "input_text", "text": job["prompt"]}]
        if job.get("image"):
            url = f"data:image/png;base64,{job['image']}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        self.input = [{"role": "user", "content": content}]
        self.request = {"model": job["model"], "instructions": "Be brief.", "store": False}
        if job.get("tools"):
            self.request["tools"] = [{"type": "function", **tool, "strict": True} for tool in TOOLS]
        if job.get("reasoning"):
            self.request["reasoning"] = {"effort": "high", "summary": "auto"}
            self.request["include"] = ["reasoning.encrypted_content"]
        if job.get("headers"):
            self.request["extra_headers"] = job["headers"]
        self.forgets = job.get("forgets")

    def ask(self, turn):
        getattr(self, self.mode)(turn)

    def raw(self, turn):
        items = []
        for event in CLIENT.responses.create(**self.request, input=self.input, stream=True):
            self.note(event, turn)
            match event.type:
                case "response.output_text.delta":
                    turn["text"] += event.delta
                case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                    turn["reasoning"] += event.delta
                case "response.output_item.done":
                    items.append(event.item)
                    if event.item.type == "function_call":
                        turn["tools"].append(call_of(event.item))
                case "response.completed" | "response.incomplete" | "response.failed":
                    self.ended(event.response, turn)
        self.input += [item.to_dict() for item in self.kept(items)]

    def helper(self, turn):
        with CLIENT.responses.stream(**self.request, input=self.input) as stream:
            for event in stream:
                self.note(event, turn)
                if event.type == "response.output_text.delta":
                    turn["text"] += event.delta
                if event.type in ("response.incomplete", "response.failed"):
                    self.ended(event.response, turn)
            self.whole_answer(stream.get_final_response(), turn)

    def note(self, event, turn):
        turn.setdefault("numbers", []).append(getattr(event, "sequence_number", None))
        if hasattr(event, "response"):
            noted(turn, event.response.id)

    def whole(self, turn):
        self.whole_answer(CLIENT.responses.create(**self.request, input=self.input), turn)

    def whole_answer(self, answer, turn):
        turn["text"] = answer.output_text
        for item in answer.output:
            if item.type == "reasoning":
                texts = [*item.summary, *(item.content or [])]
                turn["reasoning"] += "".join(part.text for part in texts)
        turn["tools"] = [call_of(item) for item in answer.output if item.type == "function_call"]
        self.ended(answer, turn)
        self.input += [sendable(item) for item in self.kept(answer.output)]

    def kept(self, items):
        return [item for item in items if not self.forgets or item.type != "reasoning"]

    def ended(self, answer, turn):
        reason = answer.incomplete_details and answer.incomplete_details.reason
        turn["finish"] = f"{answer.status}:{reason}" if reason else answer.status
        turn["usage"] = answer.usage and [answer.usage.input_tokens, answer.usage.output_tokens]

    def give(self, results):
        for call, text in results:
            self.input.append({"type": "function_call_output", "call_id": call["id"], "output": text})


def sendable(item):
    # The helper adds what it has parsed, which the API does not know.
    return item.to_dict() if not hasattr(item, "parsed_arguments") else without_parsed(item.to_dict())


def without_parsed(item):
    return {name: value for name, value in item.items() if name != "parsed_arguments"}


def call_of(item):
    return called(item.call_id, item.name, item.arguments)


if __name__ == "__main__":
    sys.exit(main(Responses))
