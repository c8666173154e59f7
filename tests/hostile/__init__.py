"""Hostile input as data, thrown at every door; and a fuzzer that makes more of it."""
