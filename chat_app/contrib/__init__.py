"""The applications that a project may install beside the chat; the chat imports none of them.

A project's own application can do the same as these applications, by the attributes of its
AppConfig and in its `ready()`: declare settings (`sessions_app.settings`), add pages
(`chat_app.urls`), add entries to the settings page (`chat_app.page.entries`), limit rates
(`chat_app.rates.LimitedRate`), and receive signals (`sessions_app.signals`).
"""
