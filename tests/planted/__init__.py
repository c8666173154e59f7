"""Bugs that the tests must find: each is planted in a copy of the code, and its test must fail."""
