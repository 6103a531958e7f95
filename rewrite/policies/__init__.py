"""What an outcome leads to; one policy a file."""
