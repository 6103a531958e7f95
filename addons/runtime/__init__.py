"""The process: its clocks, its memory, what it prints."""
