"""What several protocols need: arguments of tools, losses, media, signatures, OpenAI's errors."""
