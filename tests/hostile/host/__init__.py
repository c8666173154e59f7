"""The application that the server under attack has besides the project's own."""
