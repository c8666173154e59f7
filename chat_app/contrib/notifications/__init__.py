"""Telling people, and other systems, that a question waits: by e-mail, by a webhook.

Receivers of the runtime's signals put notices off; these come due in the processes that host runs,
one by one, until they are sent (`sessions_app.signals`).
"""
