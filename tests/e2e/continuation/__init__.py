"""Answers that are cut and continued, as every SDK reads them."""
