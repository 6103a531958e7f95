"""Real agents, unmodified, through a real mitmdump against the fake provider: see scripts/agents."""
