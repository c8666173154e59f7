"""The application that checks recorded runs against the current code, by replay."""
