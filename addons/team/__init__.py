"""A team at one or more proxies: who may use how much, and what all of them used."""
