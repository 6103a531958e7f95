"""The server that several proxies share their state through: the connection, its scripts, who is there."""
