"""What several protocols need: arguments of tools, block numbers, losses, media, signatures."""
