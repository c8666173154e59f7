"""The icons of the pages: each is a symbol of `chat_app/parts/icons.html`, drawn by its name."""

from functools import cache

from django.utils.html import format_html
from django.utils.safestring import SafeString


@cache
def icon(name: str) -> SafeString:
    """Return the HTML that draws a symbol. Words beside it, or a label, say what it means."""
    return format_html(
        '<svg class="icon icon-{0}" aria-hidden="true"><use href="#icon-{0}"></use></svg>', name
    )
