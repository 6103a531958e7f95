"""Unmodified SDKs of every protocol against providers of every other one, through a real proxy."""
