"""The application that a server under test gets beside its own."""
