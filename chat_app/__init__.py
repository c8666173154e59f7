"""The part that people and clients touch: page, socket, HTTP interface. It sits on `sessions_app`.

Imports go one way, from the first of these to the last (a contract in pyproject.toml holds it):

    asgi, urls             where a project mounts it
    page, socket, api      what people see, the socket of a client, runs over HTTP
    feed                   a cursor over a conversation's log, and the way from there to a client
    identity               the person behind a connection, and for how long
    protocol               what a client may say, and the frames that it gets
    models, settings
"""
