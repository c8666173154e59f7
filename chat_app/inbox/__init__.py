"""The inbox: the parts of a person's waiting questions for pages and front ends, and the counts."""
