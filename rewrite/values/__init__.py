"""What happens and what is decided, as values that the other folders share."""
