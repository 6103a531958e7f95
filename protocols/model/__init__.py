"""What protocols have in common, as types: HTTP, calls, prompts, parts, errors."""
