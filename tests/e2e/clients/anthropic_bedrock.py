"""A program that uses the Bedrock client of the anthropic SDK as it comes: one whole answer, as JSON."""

import json
import sys

import anthropic

job = json.loads(sys.argv[1])
client = anthropic.AnthropicBedrock(api_key=job["key"], aws_region="us-east-1", max_retries=0)
answer = client.messages.create(
    model="anthropic.claude-3-5-sonnet-20241022-v2:0",
    max_tokens=64,
    messages=[{"role": "user", "content": "hi"}],
)
print(json.dumps({"text": answer.content[0].text}))
