"""The look and language of pages, as their reader has chosen.

`urls`, the other pages, tags of templates and `contrib` import it.
"""
