"""What outlives the proxy, or is shared with others: where it is kept and how it gets there."""
