"""The look and language of pages, chosen by the reader."""
