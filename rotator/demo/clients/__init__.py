"""Programs that know an SDK, and nothing of the proxy."""
