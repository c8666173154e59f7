"""The inbox, and the page of a prompt: with the script, without, and over HTTP."""
