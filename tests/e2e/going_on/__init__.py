"""Answers that are cut and gone on with, as every SDK reads them."""
