"""One call at the edge: recognised, planned, sent to its targets, driven to its end."""
