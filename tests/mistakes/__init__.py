"""The mistakes that users make, each by its number: what they are shown where they look.

That is the cause and the remedy, once, and never a key.
"""
