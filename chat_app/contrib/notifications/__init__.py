"""Notices about pending questions: e-mail for people, a webhook for other systems.

Receivers of the runtime's signals store notices with a due time. Processes that host runs send
each due notice, and retry until it is sent (`sessions_app.signals`).
"""
