"""Credentials at the edge: the pool's secrets, where requests carry them, and answers that echo them."""
