"""Several real proxies with one store and one balancer on loopback, and what they do together."""
