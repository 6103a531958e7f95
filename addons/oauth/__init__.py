"""Logins of tools at the edge: their files, locks and tokens."""
