"""Secrets: read from where the config says they are, and redacted wherever text goes out."""
