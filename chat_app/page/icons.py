"""The icons of the pages: symbols of `chat_app/parts/icons.html`, drawn by name."""

from functools import cache

from django.utils.html import format_html
from django.utils.safestring import SafeString


@cache
def icon(name: str) -> SafeString:
    """Return the HTML of a symbol. The meaning has to be in text beside the symbol, or a label."""
    return format_html(
        '<svg class="icon icon-{0}" aria-hidden="true"><use href="#icon-{0}"></use></svg>', name
    )
