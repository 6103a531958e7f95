"""Connections to providers: HTTP/1.1, TLS, proxies, content codings."""
