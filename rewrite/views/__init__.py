"""What a person reads of calls, as plain data and as text; pure."""
