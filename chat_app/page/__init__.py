"""The chat page: what it shows, read from the log, and its forms.

`urls` imports it; `contrib` what its pages have in common.
"""
