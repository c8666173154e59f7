"""What the tests attack with: the corpus, the doors, and clients that send anything."""
