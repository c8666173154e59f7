"""The look and language of pages, as their reader has chosen. Page and templates import it."""
