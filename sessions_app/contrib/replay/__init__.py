"""The application of replays: recorded runs, and whether the code as it is still fits them."""
