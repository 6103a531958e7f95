"""Logins of tools: what their files hold, how their tokens are refreshed."""
