"""Replaying recorded runs without effect: their histories, and whether new code still fits them."""
