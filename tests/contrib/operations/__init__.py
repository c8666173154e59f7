"""Operators: their pages in the admin, their repairs, and the doctor of a deployment."""
