"""Hypothesis strategies for more than one test."""

from hypothesis import strategies as st

# Characters that databases and JSON can store: neither NUL nor halves of surrogate pairs.
STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
