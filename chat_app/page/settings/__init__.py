"""The look and language of pages, as their reader has chosen."""
