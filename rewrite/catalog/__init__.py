"""What is known of providers and clients, and where calls go."""
