"""What a route changes in the JSON that a provider gets and gives; one adapter a file."""
