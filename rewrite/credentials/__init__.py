"""Which credential a call gets, and what an outcome does to it."""
