"""Conversations that are remembered here: kept responses, and turns over a WebSocket."""
