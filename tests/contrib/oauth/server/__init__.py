"""An OAuth server with an API, made of a package."""
