"""The consent of people to workflows that act for them elsewhere, by OAuth 2.0: see docs/oauth.md.

A workflow calls `access_token.access_token`. Authlib is imported with the first request to a
provider.
"""
