"""The inbox: what waits for a person, and the page of one prompt. `urls` imports it."""
