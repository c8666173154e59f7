"""Tests of what an application can add from outside, as docs/extending.md says."""
