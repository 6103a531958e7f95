"""Wire formats: bytes to parts and back. Pure; imports nothing else of this project."""
