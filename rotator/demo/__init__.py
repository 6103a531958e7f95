"""`rotator demo`: what the proxy does, played with a fake provider and real SDKs."""
