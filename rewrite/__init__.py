"""Decisions: pure functions and small state machines. Time, randomness and ids come in as arguments."""
