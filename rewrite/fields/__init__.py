"""The field cache: what providers want back, found by paths, kept between calls, put where it is missing."""
