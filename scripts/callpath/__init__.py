"""Which files one call goes through, and how often control moves from one to another."""
