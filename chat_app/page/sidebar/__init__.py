"""The list of a person's conversations, beside each page. The page's views import it."""
