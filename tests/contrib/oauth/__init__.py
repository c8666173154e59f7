"""The consent of people to tools, against a real OAuth server: django-oauth-toolkit."""
