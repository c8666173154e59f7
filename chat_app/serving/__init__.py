"""The web server's runtime: started before the server accepts requests, stopped before its end."""
