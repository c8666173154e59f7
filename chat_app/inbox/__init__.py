"""The questions that wait for a person: their parts for pages and front ends, and their counts."""
