"""Hypothesis strategies for more than one test."""

from hypothesis import strategies as st

# The characters that both databases and JSON take: without NUL and halves of surrogate pairs.
STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
