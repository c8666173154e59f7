"""The applications that a project may install beside the chat, which names none of them.

An application of a project can do the same as they do, by the attributes of its AppConfig and in
its `ready()`: declare settings (`sessions_app.settings`), add pages (`chat_app.urls`), add entries
to the settings page (`chat_app.page.settings.entries`), limit rates (`chat_app.rates.LimitedRate`),
and receive signals (`sessions_app.signals`).
"""
