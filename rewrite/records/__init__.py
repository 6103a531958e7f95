"""What a record says of a call, as plain data."""
