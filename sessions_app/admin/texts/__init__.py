"""Rows in words, for the admin alone: what its pages say instead of columns and JSON."""
