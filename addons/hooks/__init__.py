"""The code of providers that ships with the proxy, and the one that others register."""
