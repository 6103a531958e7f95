"""Bytes of an answer to wire units and back: server-sent events, lines, arrays, whole bodies."""
