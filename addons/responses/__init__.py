"""Responses that are kept here because no provider keeps them."""
