"""How one target is asked, and how its answer is read."""
