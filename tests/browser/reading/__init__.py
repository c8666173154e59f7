"""Tests of reading: long answers, long conversations, code, any script."""
