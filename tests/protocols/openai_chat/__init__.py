"""OpenAI Chat as the other side of a translation; tests/protocols/test_openai_chat.py has the rest."""
