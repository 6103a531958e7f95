"""The command `rotator`: starts the proxy, runs tools through it, and shows what it does."""
