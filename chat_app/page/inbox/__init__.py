"""The inbox with a person's waiting prompts, and the page of one prompt.

`urls` and, for the start page, `page` import this package.
"""
