"""The means of attack: the corpus, the doors, and clients that send anything."""
