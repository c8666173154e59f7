"""The inbox: what waits for a person, and the page of one prompt. The page's URLs import it."""
