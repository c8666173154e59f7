"""Tests of the applications beside the chat."""
