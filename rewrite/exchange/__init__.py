"""The state machine of one call, and what it knows."""
